"""Times of the Song Map: whole microseconds, and equal where the steps meant the same moment.

Steps round at different grains, the coarsest to the millisecond, so the song's end or a beat may come back half a millisecond off.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

MICROSECONDS: Final = 1_000_000
#: Half a millisecond: what rounding to the millisecond moves a time by at most.
ROUNDING: Final = 500


class Times:
    """Rounds the times of one song.

    duration_sec: its length. beats: the times of its beats (s).
    """

    def __init__(self, duration_sec: float, beats: Iterable[float]):
        self._end = _micros(duration_sec)
        self._grid = sorted({0, self._end, *(self._inside(_micros(time)) for time in beats)})

    @property
    def duration(self) -> float:
        """The song's length (s)."""
        return self._end / MICROSECONDS

    def event(self, seconds: float) -> float:
        """The time of something heard: a word, a note, a beat. What rounding put behind the song's end is at its end."""
        return self._inside(_micros(seconds)) / MICROSECONDS

    def boundary(self, seconds: float) -> float:
        """The time of something that starts or ends on a beat or with the song, as a chord does: exactly there, if it is that near."""
        time = _micros(seconds)
        place = bisect_left(self._grid, time)
        nearest = min(self._grid[max(0, place - 1) : place + 1], key=lambda known: abs(known - time))
        return (nearest if abs(nearest - time) <= ROUNDING else time) / MICROSECONDS

    def _inside(self, time: int) -> int:
        return self._end if self._end < time <= self._end + ROUNDING else time


def _micros(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
