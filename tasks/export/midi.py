"""MIDI: a Standard MIDI File of type 1 that runs beside the sound from its first sample on.

| track | what is in it |
| --- | --- |
| the song's name | a tempo a bar, meters, key signatures, the sections as markers |
| Song | one note, too soft to hear, over the whole song: Ableton Live reads a tempo map only of a file whose notes span it |
| Melody | its notes, and the lyrics, a syllable an event: a space ends a word, a carriage return a line (RP-017), in UTF-8 |
| Voices | what is sung beside the melody, where something is |
| Chords | close chords over their bass, their names as text |
| Bass | its notes |

The tempi of the bars are whole microseconds a quarter note, each chosen so that the next bar begins on time: what is rounded does not add
up. As heard, notes and lyrics stand at the tick that sounds nearest to their time; quantised, on the grid of the beats, which within a
bar are then as even as its tempo. Without a pulse the tempo is 120, there are no meters, and notes are written as heard.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import lazy_loader

from schemas.song_map import Chord, Note, SongMap
from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.export.grid import QUARTER, Grid, grid_of
from tasks.export.headings import headings
from tasks.export.options import ExportOptions
from tasks.export.quantised import quantised
from tasks.export.signatures import fifths_of
from tasks.export.song import Song
from tasks.export.sung import Text, sung_notes, texts_of

mido = lazy_loader.load("mido")

#: Where a chord's upper notes and its bass begin: from G3 and from C2 on.
_LOWEST_UPPER: Final = 55
_LOWEST_BASS: Final = 36
#: Where what has no onset of its own stands when quantised (ticks): on a sixteenth.
_STEP: Final = QUARTER // 4
_LONGEST_TEMPO: Final = 0xFFFFFF
_VELOCITY: Final = 80
#: Channels, and programs of General MIDI, from 0.
_MELODY, _CHORDS, _BASS, _VOICES, _SONG = (0, 53), (1, 0), (2, 33), (3, 52), (15, 0)
#: By the signature, from seven flats to seven sharps.
_KEYS: Final = {
    "major": ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"),
    "minor": ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m"),
}

#: A message with its place (ticks), and how it is ordered among those of one place: ends, then words, then beginnings.
_Event = tuple[int, int, Any]
#: start, end (ticks), pitch.
_Span = tuple[int, int, int]


def write(song: Song, options: ExportOptions) -> bytes:
    """The file, as heard or quantised."""
    song_map = song.map
    ends = [note.end for part in (song_map.performance.melody, song_map.performance.bass) for note in part]
    grid = grid_of(song_map, until=max(ends, default=0.0))
    places = _Quantised(grid) if options.quantised and grid.has_pulse else _AsHeard(grid, song_map)
    performance = song_map.performance
    file = mido.MidiFile(type=1, ticks_per_beat=QUARTER, charset="utf-8")
    _add(file, song.name, _conductor(song_map, grid, places))
    _add(file, "Song", _notes([(0, places.place(song_map.duration_sec), 0)], _SONG, velocity=1))
    melody, lyrics = places.sung(song_map)
    _add(file, "Melody", [*_notes(melody, _MELODY), *lyrics])
    if performance.harmony:
        _add(file, "Voices", _notes([(places.place(n.start), places.place(n.end), n.midi) for n in performance.harmony], _VOICES))
    _add(file, "Chords", _chords(song_map.chords, places))
    _add(file, "Bass", _notes(places.part(performance.bass), _BASS))
    target = io.BytesIO()
    file.save(file=target)
    return target.getvalue()


def voiced(label: str) -> tuple[int, ...]:
    """The notes of a chord, the bass first; none for no chord."""
    chord = harte.parse(label)
    if chord is None:
        return ()
    root = pitch_class(chord.root)
    upper = sorted({_from(_LOWEST_UPPER, root + tone) for tone in harte.tones(chord.quality)})
    return (_from(_LOWEST_BASS, pitch_class(chord.bass_note or chord.root)), *upper)


def _from(lowest: int, pitch: int) -> int:
    return lowest + (pitch - lowest) % 12


# --- where things stand ---


@dataclass(frozen=True, slots=True)
class _Tempo:
    """A tempo (µs a quarter note) from a place on (ticks), and when it begins (1/QUARTER µs)."""

    tick: int
    tempo: int
    clock: int


def _tempi(song_map: SongMap, grid: Grid) -> list[_Tempo]:
    """A tempo a bar; where beats that were counted back meet the first that was heard, one there too."""
    points = {bar.tick: bar.start for bar in grid.bars}
    if grid.has_pulse:
        points.setdefault(round(grid.tick(song_map.beats[0])), song_map.beats[0])
    points[grid.bars[-1].until] = grid.bars[-1].end
    places = sorted(points)
    clock, found = 0, []
    for tick, until in pairwise(places):
        wanted = math.floor(points[until] * 1_000_000 * QUARTER + 0.5) - clock
        tempo = min(max(round(wanted / (until - tick)), 1), _LONGEST_TEMPO)
        found.append(_Tempo(tick, tempo, clock))
        clock += tempo * (until - tick)
    return found


class _AsHeard:
    """Every time at the tick that sounds nearest to it by the tempi that are written."""

    def __init__(self, grid: Grid, song_map: SongMap) -> None:
        self._tempi = _tempi(song_map, grid)

    def place(self, time: float) -> int:
        clock = time * 1_000_000 * QUARTER
        tempo = self._tempi[max(bisect_right(self._tempi, clock, key=lambda tempo: tempo.clock) - 1, 0)]
        return tempo.tick + math.floor((clock - tempo.clock) / tempo.tempo + 0.5)

    def part(self, notes: Iterable[Note]) -> list[_Span]:
        return [(self.place(note.start), self.place(note.end), note.midi) for note in notes]

    def sung(self, song_map: SongMap) -> tuple[list[_Span], list[_Event]]:
        """The melody and the lyrics."""
        return self.part(song_map.performance.melody), [_lyric(self.place(text.start), (text,)) for text in texts_of(song_map)]


class _Quantised:
    """Everything on the grid of the beats."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def place(self, time: float) -> int:
        return self._grid.nearest(time, _STEP)

    def part(self, notes: Sequence[Note]) -> list[_Span]:
        slots = quantised([(note.start, note.end) for note in notes], self._grid)
        return [(slot.start, slot.end, notes[slot.main].midi) for slot in slots]

    def sung(self, song_map: SongMap) -> tuple[list[_Span], list[_Event]]:
        """The melody and the lyrics, each syllable where its note begins."""
        notes = sung_notes(song_map)
        spans, lyrics = [], []
        for slot in quantised([(note.start, note.end) for note in notes], self._grid):
            pitches = [midi for nth in (slot.main, *slot.members) if (midi := notes[nth].midi) is not None]
            texts = [text for nth in slot.members if (text := notes[nth].text)]
            spans += [(slot.start, slot.end, pitches[0])] if pitches else []
            lyrics += [_lyric(slot.start, texts)] if texts else []
        return spans, lyrics


# --- events ---


def _conductor(song_map: SongMap, grid: Grid, places: _AsHeard | _Quantised) -> Iterator[_Event]:
    for tempo in _tempi(song_map, grid):
        yield tempo.tick, 1, mido.MetaMessage("set_tempo", tempo=tempo.tempo)
    meter = None
    for bar in grid.bars if grid.has_pulse else ():
        if meter != (bar.numerator, bar.denominator):
            meter = (bar.numerator, bar.denominator)
            yield bar.tick, 1, mido.MetaMessage("time_signature", numerator=min(bar.numerator, 255), denominator=bar.denominator)
    for nth, key in enumerate(song_map.key):
        at = 0 if nth == 0 else grid.bar_line(key.start) if grid.has_pulse else places.place(key.start)
        fifths = fifths_of(key)
        yield at, 1, mido.MetaMessage("key_signature", key=_KEYS[key.mode][fifths + 7])
    for section, heading in zip(song_map.sections, headings(song_map.sections), strict=True):
        yield places.place(section.start), 1, mido.MetaMessage("marker", text=heading)


def _chords(chords: Iterable[Chord], places: _AsHeard | _Quantised) -> Iterator[_Event]:
    spans = []
    for chord in chords:
        start, end = places.place(chord.start), places.place(chord.end)
        yield start, 1, mido.MetaMessage("text", text=chord.display)
        spans += [(start, end, pitch) for pitch in voiced(chord.label)]
    yield from _notes(spans, _CHORDS)


def _lyric(at: int, texts: Sequence[Text]) -> _Event:
    words = "".join(text.text + text.after for text in texts).replace("\n", "\r")
    return at, 1, mido.MetaMessage("lyrics", text=words)


def _notes(spans: Iterable[_Span], instrument: tuple[int, int], velocity: int = _VELOCITY) -> Iterator[_Event]:
    """Notes of one part, each a tick long at least; those of one pitch do not overlap."""
    channel, program = instrument
    yield 0, 0, mido.Message("program_change", channel=channel, program=program)
    free: dict[int, int] = {}
    for start, end, pitch in sorted(spans):
        start = max(start, free.get(pitch, 0))
        free[pitch] = max(end, start + 1)
        yield start, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        yield free[pitch], 0, mido.Message("note_off", channel=channel, note=pitch, velocity=0)


def _add(file: Any, name: str, events: Iterable[_Event]) -> None:
    """A track of events; what comes before another keeps the order it is given in."""
    track = file.add_track(name)
    now = 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
