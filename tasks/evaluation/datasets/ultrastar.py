"""UltraStar charts of Creative Commons songs (github.com/UltraStar-Deluxe/songs), read into CSV files beside each song.

    derived_words.csv      start, end, word, line
    derived_lines.csv      start, end, text
    derived_melody.csv     start, end, midi, type (`:` a note, `*` a golden one, `F` free of pitch), syllable; the octave is not reliable
    derived_sections.lab   start, end, label: read from the lyrics, to within 3 s
    derived_beats_fast.txt beats of a song of steady tempo, perhaps twice too many: their tempo counts, up to its octave

Charts run about 50 ms early. Those in `TRANSPOSED` are charted in another key: their pitches do not count.
"""

from __future__ import annotations

import csv
from pathlib import Path

from tasks.evaluation.annotations import AnnotatedSong, Annotations, TrueNote
from tasks.evaluation.datasets.reading import as_it_is, beats_and_positions, spans, tempo_of, timed_words

TRANSPOSED = ("Pornophonique - Space Invaders",)
_PITCHED = (":", "*")


def load(folder: Path, _rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        songs.append(_song(place))
        songs += [_instrumental(place, file) for file in sorted(place.glob("instrumental.[mo][pg][3g]"))]
    return songs


def _song(place: Path) -> AnnotatedSong:
    beats, sections = place / "derived_beats_fast.txt", place / "derived_sections.lab"
    return AnnotatedSong(
        "ultrastar",
        place.name,
        as_it_is(next(path for path in sorted(place.glob("audio.*")))),
        Annotations(
            tempo_bpm=tempo_of(beats_and_positions(beats)[0]) if beats.exists() else None,
            words=timed_words(place / "derived_words.csv", "word"),
            lines=timed_words(place / "derived_lines.csv", "text"),
            language="en",
            melody=None if place.name in TRANSPOSED else _melody(place / "derived_melody.csv"),
            octave_known=False,
            sections=spans(sections) if sections.exists() else None,
        ),
    )


def _instrumental(place: Path, audio: Path) -> AnnotatedSong:
    """The same song without its voice: whatever is heard in it is invented."""
    return AnnotatedSong("ultrastar", f"{place.name} (instrumental)", as_it_is(audio), Annotations(words=()))


def _melody(file: Path) -> tuple[TrueNote, ...]:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["type"] in _PITCHED]
    return tuple(TrueNote(float(row["start"]), float(row["end"]), float(row["midi"])) for row in rows)
