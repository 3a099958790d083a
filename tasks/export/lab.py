"""Tables of research: `.lab` (start, end, label; tabs, no header) for mir_eval and Sonic Visualiser, and notes as TSV for Sonic Visualiser.

| file | columns |
| --- | --- |
| chords.lab | start, end, chord in Harte's syntax |
| keys.lab | start, end, key such as `C major` |
| key.txt | the key that holds longest, as mir_eval.io.load_key reads it |
| sections.lab | start, end, label |
| words.lab, lines.lab | start, end, text |
| beats.lab | time, position in the bar |
| melody.lab, bass.lab, harmony.lab | start, end, pitch (Hz), as mir_eval.io.load_valued_intervals reads them |
| melody.tsv, bass.tsv, harmony.tsv | time, pitch (MIDI, fractional), duration, level (confidence), name: a note layer of Sonic Visualiser |

Times are seconds to the microsecond. A table of which the song has nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from schemas.song_map import Note
from tasks.export import beats
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

#: Start, end (s), text.
Span = tuple[float, float, str]

_A4_MIDI, _A4_HZ = 69, 440.0
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def files(song: Song, options: ExportOptions) -> Iterator[tuple[str, bytes]]:
    """The tables, one after the other."""
    song_map, performance = song.map, song.map.performance
    if song_map.beats:
        yield "beats.lab", beats.write(song, options)
    tables: dict[str, list[Span]] = {
        "chords.lab": [(chord.start, chord.end, chord.label) for chord in song_map.chords],
        "keys.lab": [(key.start, key.end, f"{key.tonic} {key.mode}") for key in song_map.key],
        "sections.lab": [(section.start, section.end, section.label) for section in song_map.sections],
        "words.lab": [(word.start, word.end, word.text) for line in song_map.lyrics for word in words_of(line)],
        "lines.lab": [(line.start, line.end, line.text) for line in song_map.lyrics],
    }
    for name, rows in tables.items():
        if rows:
            yield name, labelled(rows)
    if song_map.key:
        longest = max(song_map.key, key=lambda key: key.end - key.start)
        yield "key.txt", f"{longest.tonic} {longest.mode}\n".encode()
    for name, notes in (("melody", performance.melody), ("bass", performance.bass), ("harmony", performance.harmony)):
        if notes:
            yield f"{name}.lab", _table((_sec(note.start), _sec(note.end), f"{_hz(note):.4f}") for note in notes)
            yield f"{name}.tsv", _layer(notes)


def labelled(rows: Iterable[Span]) -> bytes:
    """Spans with their text, which is put on one line."""
    return _table((_sec(start), _sec(end), " ".join(text.split())) for start, end, text in rows)


def _layer(notes: Sequence[Note]) -> bytes:
    return _table(
        (_sec(note.start), f"{note.midi + note.cents / 100:.2f}", _sec(note.end - note.start), f"{note.conf:.3f}", _name(note.midi))
        for note in notes
    )


def _hz(note: Note) -> float:
    return float(_A4_HZ * 2 ** ((note.midi + note.cents / 100 - _A4_MIDI) / 12))


def _name(midi: int) -> str:
    return f"{_NAMES[midi % 12]}{midi // 12 - 1}"


def _table(rows: Iterable[Sequence[str]]) -> bytes:
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def _sec(time: float) -> str:
    return f"{time:.6f}"
