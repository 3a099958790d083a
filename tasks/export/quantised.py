"""Notes on the grid: each begins and ends where a score can write it. Pure.

In every beat (a quarter note at most) the division is chosen that fits the onsets in it best: none, two, four, or triplets, the finer ones
only where they fit better by more than singing scatters. Straight and triplet beats do not come by turns without a price, for a song swings
or does not: the divisions of all its beats together are the cheapest (Viterbi). Ends go to the division of the beat they lie in; what lies
between a note and the next one and is shorter than an eighth counts as the note's, for it is a breath. Notes that no grid keeps apart
become one.

A singer is early or late by habit, and so is what hears the onsets: the song is shifted as a whole by what makes it fit best. Prices are in
squared beats; they are what onsets that scatter by some 0.08 of a beat (43 ms, in the demo song) would else gain by a finer division.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.export.grid import QUARTER, Grid, cells

#: Divisions of a beat and their price, of the straight feel and of that in triplets. Beats shorter than a quarter note have one feel.
_STRAIGHT: Final = ((1, 0.0), (2, 0.0003), (4, 0.004))
_TRIPLETS: Final = ((1, 0.0), (3, 0.006))
_SHORT: Final = ((1, 0.0), (2, 0.004))
#: From one feel to the other.
_CHANGE: Final = 0.006
#: By how much a song may be early or late as a whole (s), its price in squared beats a note and second, and how many notes show a habit.
_SHIFTS: Final = (0.0, 0.02, -0.02, 0.04, -0.04, 0.06, -0.06)
_SHIFT_PRICE: Final = 0.01
_LEAST_NOTES: Final = 16
#: For two onsets in one place.
_COLLISION: Final = 0.05
#: Ends in a beat in which nothing begins.
_ENDS: Final = 2
#: Nothing is shorter than a 64th note.
_SHORTEST: Final = QUARTER // 16
_BREATH: Final = QUARTER // 2


@dataclass(frozen=True, slots=True)
class Slot:
    """A note on the grid. start, end: ticks. members: indices of the notes that it stands for, in order; the longest is `main`."""

    start: int
    end: int
    members: tuple[int, ...]
    main: int


def quantised(spans: Sequence[tuple[float, float]], grid: Grid) -> tuple[Slot, ...]:
    """The slots of notes that follow each other, by their (start, end) in seconds in order; slots do not overlap either."""
    shifts = _SHIFTS if len(spans) >= _LEAST_NOTES else (0.0,)
    shift, beats = min(
        ((shift, _Beats(grid, [grid.tick(start + shift) for start, _ in spans])) for shift in shifts),
        key=lambda tried: tried[1].cost + abs(tried[0]) * _SHIFT_PRICE * len(spans),
    )
    groups: list[tuple[int, list[int]]] = []
    for nth, tick in enumerate(beats.onsets):
        at = beats.onset(tick)
        if groups and at <= groups[-1][0]:
            groups[-1][1].append(nth)
        else:
            groups.append((at, [nth]))
    found = []
    for place, (start, members) in enumerate(groups):
        following = groups[place + 1][0] if place + 1 < len(groups) else None
        end = beats.end(grid.tick(max(spans[nth][1] for nth in members) + shift))
        end = max(end, start + beats.step(start))
        if following is not None and end > following - _BREATH:
            end = following
        found.append(Slot(start, end, tuple(members), max(members, key=lambda nth: spans[nth][1] - spans[nth][0])))
    return tuple(found)


class _Beats:
    """The beats with the division of each. cost: of the divisions together."""

    def __init__(self, grid: Grid, onsets: Sequence[float]) -> None:
        self.onsets = onsets
        self._cells = list(cells(grid))
        self._starts = [start for start, _ in self._cells]
        by_cell: dict[int, list[float]] = {}
        for tick in onsets:
            place = self._place(tick)
            start, length = self._cells[place]
            by_cell.setdefault(place, []).append((tick - start) / length)
        self.cost, self._divisions = _divisions([(place, self._cells[place][1], shares) for place, shares in by_cell.items()])

    def onset(self, tick: float) -> int:
        return self._nearest(tick, self._divisions[self._place(tick)])

    def end(self, tick: float) -> int:
        place = self._place(tick)
        return self._nearest(tick, self._divisions.get(place, _ENDS))

    def step(self, tick: int) -> int:
        """The least length of a note that begins at a place of the grid (ticks)."""
        place = self._place(tick)
        length = self._cells[place][1]
        return max(length // max(self._divisions.get(place, 1), 2), min(length, _SHORTEST))

    def _nearest(self, tick: float, division: int) -> int:
        start, length = self._cells[self._place(tick)]
        division = min(division, max(length // _SHORTEST, 1))
        return max(start + length // division * int((tick - start) / length * division + 0.5), 0)

    def _place(self, tick: float) -> int:
        return max(bisect_right(self._starts, tick) - 1, 0)


def _divisions(beats: Sequence[tuple[int, int, Sequence[float]]]) -> tuple[float, dict[int, int]]:
    """The cost, and {place: division} of beats in order, by (place, length in ticks, onsets as shares of the beat in [0, 1))."""
    totals = (0.0, 0.0)
    steps: list[tuple[tuple[int, int], tuple[int, int]]] = []  # of each feel: the division, and the feel before
    for _, length, shares in beats:
        feels = (_STRAIGHT, _TRIPLETS) if length >= QUARTER else (_SHORT, _SHORT)
        priced = [min((_cost(shares, division) + price, division) for division, price in feel) for feel in feels]
        before = [min((0, 1), key=lambda other, feel=feel: totals[other] + _CHANGE * (other != feel)) for feel in (0, 1)]  # type: ignore[misc]
        totals = tuple(totals[before[feel]] + _CHANGE * (before[feel] != feel) + priced[feel][0] for feel in (0, 1))  # type: ignore[assignment]
        steps.append(((priced[0][1], before[0]), (priced[1][1], before[1])))
    feel = 0 if totals[0] <= totals[1] else 1
    found = {}
    for (place, *_), step in zip(reversed(beats), reversed(steps), strict=True):
        found[place], feel = step[feel]
    return min(totals), found


def _cost(shares: Sequence[float], division: int) -> float:
    """How badly a division fits: the mean squared error, and more for two onsets in one place."""
    placed = [int(share * division + 0.5) for share in shares]
    error = sum((share - place / division) ** 2 for share, place in zip(shares, placed, strict=True)) / len(shares)
    return error + _COLLISION * (len(placed) - len(set(placed)))
