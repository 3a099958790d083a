"""Songs that are made here, with exact truth: dozens of styles, any meter, swing, tempo curves, pickups, gaps, changes of key, tunings.

    made/           may be empty: that it is there says that the songs are wanted

Nothing is read but the code beside this file; the same notes come out on every machine. The sound depends on the sound fonts that are
there.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from tasks.evaluation.annotations import AnnotatedSong, Annotations
from tasks.evaluation.datasets.made.compose import MadeSong, compose
from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.datasets.reading import tempo_of
from tasks.evaluation.datasets.synth import font_folder, render
from tasks.evaluation.split import split_of

#: Songs of every style.
SONGS_A_STYLE: Final = 3


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    made = [compose(style, number) for number in range(SONGS_A_STYLE) for style in STYLES]
    return [
        AnnotatedSong(
            "made",
            song.name,
            partial(render, song.band, rendered / f"{song.name}.flac", font_folder(folder)),
            truth_of(song),
            split_of("made", song.style),
            song.style,
        )
        for song in made
    ]


def truth_of(song: MadeSong) -> Annotations:
    """Nobody sings in them, so that a word is an invented one, and there is no melody for a step that looks for a voice."""
    return Annotations(
        beats=song.beats,
        downbeats=song.downbeats,
        meter=Counter(beats for beats in song.bar_lengths).most_common(1)[0][0],
        tempo_bpm=tempo_of(song.beats),
        keys=song.keys,
        chords=song.chords,
        words=(),
        bass=song.bass,
    )
