"""Labels of Audacity: start, end and text with tabs, a file a label track (File > Import > Labels). Pure.

What is a moment in the map, such as a beat, is a label whose end is its start.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.export.beat_positions import beat_positions
from tasks.export.headings import headings
from tasks.export.lab import Span, labelled
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song


def files(song: Song, options: ExportOptions) -> Iterator[tuple[str, bytes]]:  # noqa: ARG001 (every writer takes them)
    """The label tracks of which the song has something."""
    song_map = song.map
    named = zip(song_map.sections, headings(song_map.sections), strict=True)
    tracks: dict[str, list[Span]] = {
        "sections.txt": [(section.start, section.end, name) for section, name in named],
        "chords.txt": [(chord.start, chord.end, chord.display) for chord in song_map.chords],
        "keys.txt": [(key.start, key.end, f"{key.tonic} {key.mode}") for key in song_map.key],
        "beats.txt": [(beat.time, beat.time, f"{beat.bar}.{beat.position}") for beat in beat_positions(song_map)],
        "lines.txt": [(line.start, line.end, line.text) for line in song_map.lyrics],
        "words.txt": [(word.start, word.end, word.text) for line in song_map.lyrics for word in words_of(line)],
    }
    for name, rows in tracks.items():
        if rows:
            yield name, labelled(rows)
