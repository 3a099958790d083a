"""MDB Drums (Southall et al., ISMIR 2017): pieces of MedleyDB (Bittner et al., 2014) with stems, beats, and the pitch of the melody.

multitrack/<piece>/{mixture,drums,bass,other,vocals}.flac
beats/<piece>_MIX.beats       time, position in the bar
melody/<piece>_MELODY1.csv    time, hertz: the predominant melody of one source
"""

from __future__ import annotations

from pathlib import Path

from schemas.results import STEMS
from tasks.evaluation.annotations import AnnotatedSong, Annotations, PitchTrack
from tasks.evaluation.datasets.reading import as_it_is, beats_and_positions, columns, tempo_of


def load(folder: Path, _rendered: Path) -> list[AnnotatedSong]:
    return [_song(folder, piece) for piece in sorted((folder / "multitrack").iterdir())]


def _song(folder: Path, piece: Path) -> AnnotatedSong:
    beats, positions = beats_and_positions(folder / "beats" / f"{piece.name}_MIX.beats")
    stems = {name: piece / f"{name}.flac" for name in STEMS if (piece / f"{name}.flac").exists()}
    melody = folder / "melody" / f"{piece.name}_MELODY1.csv"
    sung = "vocals" in stems and melody.exists()  # elsewhere an instrument plays it, which the step does not look for
    return AnnotatedSong(
        "mdbdrums",
        piece.name.removeprefix("MusicDelta_"),
        as_it_is(piece / "mixture.flac"),
        Annotations(
            beats=beats,
            downbeats=tuple(beat for beat, position in zip(beats, positions, strict=True) if position == 1),
            meter=max(positions),
            tempo_bpm=tempo_of(beats),
            words=None if "vocals" in stems else (),
            melody_pitch=_pitch(melody) if sung else None,
            bass_stem=stems.get("bass"),
            stems=stems,
        ),
    )


def _pitch(file: Path) -> PitchTrack:
    rows = columns(file, ",")
    return PitchTrack(tuple(float(row[0]) for row in rows), tuple(float(row[1]) for row in rows))
