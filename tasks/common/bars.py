"""Bars of a beat grid. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class BarSpan(NamedTuple):
    """A bar. start, end: seconds. first_beat: index of its downbeat. beats: how many it has."""

    start: float
    end: float
    first_beat: int
    beats: int


def bar_spans(times: Sequence[float], positions: Sequence[int], duration: float) -> list[BarSpan]:
    """The bars, from downbeat to downbeat. The last one ends a median beat after its last beat, or with the song if that is earlier.

    times: of the beats (s). positions: of each in its bar, 1 being the downbeat. A downbeat at the very end of the song starts no bar.
    """
    firsts = [index for index, position in enumerate(positions) if position == 1]
    if not firsts:
        return []
    gaps = sorted(after - before for before, after in pairwise(times))
    median = gaps[len(gaps) // 2] if gaps else duration
    ends = [times[first] for first in firsts[1:]] + [min(duration, times[-1] + median)]
    counts = [after - before for before, after in pairwise([*firsts, len(times)])]
    spans = (BarSpan(times[first], end, first, count) for first, end, count in zip(firsts, ends, counts, strict=True))
    return [span for span in spans if span.end > span.start]
