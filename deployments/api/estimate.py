"""How long a job will still take, from what songs took on this installation. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: So many of the songs whose length is nearest are asked.
_NEAREST: Final = 8
#: From here on, what has been done so far says more and more of what is left.
_SOME_PROGRESS: Final = 0.05


@dataclass(frozen=True)
class Took:
    """What an analysis took. duration_sec: how long the song is. seconds: how long its run worked. quality: as it was asked for."""

    duration_sec: float
    seconds: float
    quality: str


def whole_sec(past: Iterable[Took], duration_sec: float | None, quality: str) -> float | None:
    """How long the analysis of a song of this length takes; None where nothing like it is known.

    Of the songs nearest in length, each scaled to this length, the median of the slower half: the quicker ones came from the cache.
    """
    alike = [took for took in past if took.quality == quality and took.duration_sec > 0 and took.seconds > 0]
    if duration_sec is None or duration_sec <= 0 or not alike:
        return None
    nearest = sorted(alike, key=lambda took: abs(math.log(took.duration_sec / duration_sec)))[:_NEAREST]
    scaled = sorted(took.seconds * duration_sec / took.duration_sec for took in nearest)
    slower = scaled[len(scaled) // 2 :]
    return slower[len(slower) // 2]


def seconds_left(whole: float | None, progress: float, seconds: float) -> float | None:
    """How long a run will still take. whole: see `whole_sec`. progress: 0 to 1. seconds: how long it has worked."""
    by_progress = seconds * (1 - progress) / progress if progress >= _SOME_PROGRESS else None
    if whole is None:
        return by_progress
    by_past = whole * (1 - progress)
    return by_past if by_progress is None else (1 - progress) * by_past + progress * by_progress
