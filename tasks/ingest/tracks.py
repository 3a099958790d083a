"""Which of a file's audio tracks is the song.

The rule: the track that was asked for; else the one that alone is marked as the default one; else the first that is neither a commentary
nor a description, by its marks or its name, and is not silent for its first minute; else the first of all. Tracks are counted from 1, in
the file's order, sound alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.common.errors import AudioTrackMissing

#: What the names of tracks say that are spoken over the sound, or in its place.
_SPOKEN = re.compile(r"comment|descri|narrat|kommentar|comentari|commento|audiodeskription|комментари|解説|评论|評論", re.IGNORECASE)


@dataclass(frozen=True)
class ChosenTrack:
    """number: from 1. count: of the audio tracks there are. why: what was decided by, for a person."""

    stream: Any
    number: int
    count: int
    why: str

    @property
    def warning(self) -> str | None:
        """Where there was a choice: which was taken, and how to take another."""
        if self.count == 1:
            return None
        return f"Audio track {self.number} of {self.count} was analysed ({self.why}); --track takes another"


def choose_track(streams: Sequence[Any], wanted: int | None, is_silent: Callable[[int], bool], file: str) -> ChosenTrack | None:
    """The track to analyse, None where none can be decoded. Raises AudioTrackMissing.

    wanted: the number that was asked for. is_silent: of a track's number, whether nothing is heard at its beginning. file: for the error.
    """
    count = len(streams)
    if wanted is not None:
        if wanted > count or streams[wanted - 1].codec_context is None:
            tracks = f"{count} audio track{'s' if count > 1 else ''}"
            raise AudioTrackMissing(f"{file} has no audio track {wanted} that can be decoded; it has {tracks}")
        return ChosenTrack(streams[wanted - 1], wanted, count, "as was asked for")
    usable = {number: stream for number, stream in enumerate(streams, 1) if stream.codec_context is not None}
    if not usable:
        return None

    def chosen(number: int, why: str) -> ChosenTrack:
        return ChosenTrack(usable[number], number, count, why)

    if len(usable) == 1:
        return chosen(next(iter(usable)), "the only one that can be decoded")
    marked = [number for number, stream in usable.items() if _marked(stream, "default")]
    if len(marked) == 1:
        return chosen(marked[0], "the default one")
    for number, stream in usable.items():
        if not is_spoken(stream) and not is_silent(number):
            return chosen(number, "the first with music")
    return chosen(next(iter(usable)), "the first")


def is_spoken(stream: Any) -> bool:
    """Whether a track is marked or named as a commentary or a description of the picture."""
    if any(_marked(stream, mark) for mark in ("comment", "visual_impaired", "descriptions")):
        return True
    names = [text for key, text in stream.metadata.items() if key.lower() in ("title", "name", "handler_name")]
    return any(_SPOKEN.search(name) for name in names)


def _marked(stream: Any, mark: str) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & getattr(Disposition, mark))
