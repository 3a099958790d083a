"""Tracks charted for StepMania.

<track>/<track>.ogg
<track>/derived_beats.txt   time, position in the bar; from the chart's BPM and offset
"""

from __future__ import annotations

from pathlib import Path

from tasks.evaluation.annotations import AnnotatedSong, Annotations
from tasks.evaluation.datasets.reading import as_it_is, beats_and_positions, tempo_of


def load(folder: Path, _rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for file in sorted(folder.glob("*/derived_beats.txt")):
        beats, positions = beats_and_positions(file)
        downbeats = tuple(beat for beat, position in zip(beats, positions, strict=True) if position == 1)
        truth = Annotations(beats=beats, downbeats=downbeats, meter=max(positions), tempo_bpm=tempo_of(beats))
        songs.append(AnnotatedSong("stepmania", file.parent.name, as_it_is(next(file.parent.glob("*.ogg"))), truth))
    return songs
