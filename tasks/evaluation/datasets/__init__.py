"""The data sets that the scoreboard can read. Each module reads one, from its own folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tasks.common.errors import EvaluationDataNotFound, OptionInvalid
from tasks.evaluation.annotations import AnnotatedSong
from tasks.evaluation.datasets import fretsonfire, jamendolyrics, kinds, made, mdbdrums, midi, mma, pop909, stepmania, ultrastar
from tasks.evaluation.split import Split

#: name of the folder → what reads it: (the folder, a folder for what is rendered) → songs
LOADERS: Final[dict[str, Callable[[Path, Path], list[AnnotatedSong]]]] = {
    "mdbdrums": mdbdrums.load,
    "ultrastar": ultrastar.load,
    "fretsonfire": fretsonfire.load,
    "stepmania": stepmania.load,
    "jamendolyrics": jamendolyrics.load,
    "pop909": pop909.load,
    "made": made.load,
    "midi": midi.load,
    "mma": mma.load,
    "kinds": kinds.load,
}
#: Those of which a part is enough for a short run.
LARGE: Final = frozenset({"pop909", "made", "midi", "mma", "kinds"})


def load_songs(data: Path, rendered: Path, wanted: tuple[str, ...] = (), split: Split | None = None, every: int = 1) -> list[AnnotatedSong]:
    """The annotated songs below a folder, in a fixed order.

    rendered: where audio goes that has to be made first. wanted: parts of `dataset/name`; empty for all. split: one half of the data sets
    that are split, and nothing of the others. every: of the large data sets every so manieth song.
    Raises EvaluationDataNotFound where the folder has none of the data sets, OptionInvalid where nothing is left of them.
    """
    present = [name for name in LOADERS if (data / name).is_dir()]
    if not present:
        raise EvaluationDataNotFound(f"{data} has none of the folders {', '.join(LOADERS)}")
    songs = [song for name in present for song in LOADERS[name](data / name, rendered / name)[:: every if name in LARGE else 1]]
    named = [song for song in songs if not wanted or any(part.casefold() in song.id.casefold() for part in wanted)]
    chosen = [song for song in named if split is None or song.split == split]
    if named and not chosen:
        raise OptionInvalid(f"None of these songs is in the split {split}", f"Only {', '.join(sorted(LARGE))} are split")
    if not chosen:
        raise OptionInvalid(f"No song is called {', '.join(wanted)}", f"There are: {', '.join(song.id for song in songs[:8])} …")
    return chosen
