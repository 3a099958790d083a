"""Lengths are written so that they add up, and so that the eye finds the beats."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tasks.export.grid import QUARTER, Bar
from tasks.export.note_values import values

E = QUARTER // 2


def bar(numerator: int, denominator: int) -> Bar:
    return Bar(3 * QUARTER, 0.0, 1.0, numerator, denominator, True)


def written(start: int, end: int, numerator: int = 4, denominator: int = 4, places: tuple[int, ...] = ()) -> list[str]:
    """Types with dots and `3` for triplets, of a length in eighth notes (or ticks beyond 50) from the beginning of a bar."""
    at = bar(numerator, denominator)
    scaled = [at.tick + (place * E if place < 50 else place) for place in (start, end)]
    found = values(*scaled, at, {at.tick + place for place in places} | set(scaled))
    return [value.type + "." * value.dots + "3" * value.triplet for value in found]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 8, ["whole"]),
        (0, 6, ["half."]),
        (0, 5, ["half", "eighth"]),
        (0, 3, ["quarter", "eighth"]),
        (1, 3, ["quarter"]),  # a syncopation
        (3, 5, ["eighth", "eighth"]),  # across the middle of the bar
        (2, 6, ["quarter", "quarter"]),
        (4, 8, ["half"]),
        (7, 8, ["eighth"]),
    ],
)
def test_four_four(start: int, end: int, expected: list[str]) -> None:
    assert written(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 6, ["half."]), (0, 3, ["quarter."]), (2, 4, ["eighth", "eighth"]), (1, 3, ["quarter"]), (0, 4, ["quarter.", "eighth"])],
)
def test_six_eight(start: int, end: int, expected: list[str]) -> None:
    assert written(start, end, 6, 8) == expected


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(3, 4, ["half."]), (7, 8, ["half.", "eighth"]), (2, 2, ["whole"]), (5, 4, ["whole", "quarter"]), (9, 8, ["half.", "quarter."])],
)
def test_whole_bars(numerator: int, denominator: int, expected: list[str]) -> None:
    assert written(0, bar(numerator, denominator).length if denominator != 2 else 8, numerator, denominator) == expected


def test_triplets_stay_in_their_beat() -> None:
    third = QUARTER // 3
    assert written(0, third) == ["eighth3"]
    assert written(third, QUARTER) == ["quarter3"]
    assert written(2 * third, 2 * QUARTER) == ["eighth3", "quarter"]
    assert written(0, QUARTER + third) == ["quarter", "eighth3"]


@pytest.mark.parametrize("meter", [(4, 4), (3, 4), (6, 8), (7, 8), (12, 8), (5, 4), (2, 2), (3, 16), (1, 32), (1, 64), (3, 2)])
def test_every_length_on_the_grid_is_written_whole(meter: tuple[int, int]) -> None:
    at = bar(*meter)
    step = min(QUARTER // 4, at.beat)
    for start in range(at.tick, at.until, step):
        for end in range(start + step, at.until + 1, step):
            found = list(values(start, end, at, {start, end}))
            assert found[0].start == start
            assert found[-1].start + found[-1].length == end
            assert all(before.start + before.length == after.start for before, after in pairwise(found))
