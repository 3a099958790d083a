"""The data sets that the scoreboard can read. Each module reads one, from its own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tasks.common.errors import EvaluationDataNotFound, OptionInvalid
from tasks.evaluation.annotations import AnnotatedSong
from tasks.evaluation.datasets import fretsonfire, jamendolyrics, mdbdrums, pop909, stepmania, ultrastar

#: name of the folder → what reads it: (the folder, a folder for what is rendered) → songs
LOADERS: Final[dict[str, Callable[[Path, Path], list[AnnotatedSong]]]] = {
    "mdbdrums": mdbdrums.load,
    "ultrastar": ultrastar.load,
    "fretsonfire": fretsonfire.load,
    "stepmania": stepmania.load,
    "jamendolyrics": jamendolyrics.load,
    "pop909": pop909.load,
}


def load_songs(data: Path, rendered: Path, wanted: tuple[str, ...] = ()) -> list[AnnotatedSong]:
    """The annotated songs below a folder, in a fixed order.

    rendered: where audio goes that has to be made first. wanted: parts of `dataset/name`; empty for all.
    Raises EvaluationDataNotFound where the folder has none of the data sets, OptionInvalid where nothing is left of them.
    """
    present = [name for name in LOADERS if (data / name).is_dir()]
    if not present:
        raise EvaluationDataNotFound(f"{data} has none of the folders {', '.join(LOADERS)}")
    songs = [song for name in present for song in LOADERS[name](data / name, rendered / name)]
    chosen = [song for song in songs if not wanted or any(part.casefold() in song.id.casefold() for part in wanted)]
    if not chosen:
        raise OptionInvalid(f"No song is called {', '.join(wanted)}", f"There are: {', '.join(song.id for song in songs[:8])} …")
    return chosen
