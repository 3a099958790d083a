"""Songs of Frets on Fire: backing and guitar are files of their own; beats from the tempo track of the human chart, 30 to 50 ms early.

<band>/<song>/{song,guitar}.ogg   the mix is their sum
<band>/<song>/derived_beats.txt   time
"""

from __future__ import annotations

from pathlib import Path

from tasks.evaluation.annotations import AnnotatedSong, Annotations
from tasks.evaluation.datasets.reading import beats_and_positions, mixed, tempo_of


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for beats_file in sorted(folder.glob("*/*/derived_beats.txt")):
        place = beats_file.parent
        beats, _ = beats_and_positions(beats_file)
        audio = mixed([place / "song.ogg", place / "guitar.ogg"], rendered / f"{place.name}.wav")
        songs.append(AnnotatedSong("fretsonfire", place.name, audio, Annotations(beats=beats, tempo_bpm=tempo_of(beats))))
    return songs
