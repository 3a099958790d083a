"""Lengths as note values: whole notes to 64ths, dotted ones, and triplets, tied where one value does not do. Pure.

A note that begins between two beats is written up to the next one, so that the eye finds the beats; but for one syncopated quarter note,
which may lie across a beat, though not across the middle of a bar of four. In 6/8, 9/8 and 12/8 the beats are dotted quarter notes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from tasks.export.grid import QUARTER, Bar

_TYPES: Final = ((4.0, "whole"), (2.0, "half"), (1.0, "quarter"), (0.5, "eighth"), (0.25, "16th"), (0.125, "32nd"), (0.0625, "64th"))
#: (ticks, type, dots), the longest first.
_VALUES: Final = tuple(
    sorted(
        (
            (int(quarters * QUARTER * (3 if dots else 2)) // 2, name, dots)
            for quarters, name in _TYPES
            for dots in (0, 1)
            if (quarters, dots) != (0.0625, 1)
        ),
        reverse=True,
    )
)
_TRIPLET: Final = QUARTER // 3


@dataclass(frozen=True, slots=True)
class Value:
    """A note value. start, length: ticks. type, dots: as MusicXML names them. triplet: three in the time of two."""

    start: int
    length: int
    type: str
    dots: int = 0
    triplet: bool = False


def values(start: int, end: int, bar: Bar, places: Collection[int]) -> Iterator[Value]:
    """The values that a length in a bar is written with, in order (ticks). places: where the bar's notes begin and end, also others'."""
    while start < end:
        cell = bar.tick + (start - bar.tick) // QUARTER * QUARTER
        if bar.beat >= QUARTER and _is_triplet(cell, places):
            value = _in_triplets(start, min(end, cell + QUARTER))
        else:
            value = _plain(start, _before_triplets(start, end, bar, places), bar)
        yield value
        start += value.length


def _is_triplet(cell: int, places: Collection[int]) -> bool:
    """Whether something begins or ends on a third of a quarter note."""
    return cell + _TRIPLET in places or cell + 2 * _TRIPLET in places


def _before_triplets(start: int, end: int, bar: Bar, places: Collection[int]) -> int:
    """Where the first beat in triplets begins, if the length reaches it."""
    if bar.beat < QUARTER:
        return end
    first = bar.tick + ((start - bar.tick) // QUARTER + 1) * QUARTER
    return next((cell for cell in range(first, end, QUARTER) if _is_triplet(cell, places)), end)


def _in_triplets(start: int, end: int) -> Value:
    thirds = (end - start) // _TRIPLET
    if thirds == 3:
        return Value(start, QUARTER, "quarter")
    return Value(start, thirds * _TRIPLET, "quarter" if thirds == 2 else "eighth", triplet=True)


def _plain(start: int, end: int, bar: Bar) -> Value:
    group = _group(bar)
    since = (start - bar.tick) % group
    room, whole = end - start, 1
    if since:
        to_beat = group - since
        syncopated = QUARTER if group == QUARTER and since == QUARTER // 2 and not _crosses_middle(start, bar) else to_beat
        room = min(room, max(syncopated, to_beat))
    elif room > group:
        room, whole = room - room % group, group  # dotted beats and others do not mix
        if bar.numerator % 2 == 0 and group == QUARTER and (start - bar.tick) % (2 * QUARTER):
            room = min(room, 2 * QUARTER if not _crosses_middle(start, bar) else QUARTER)
    length, name, dots = next(value for value in _VALUES if value[0] <= room and value[0] % whole == 0)
    return Value(start, length, name, dots)


def _crosses_middle(start: int, bar: Bar) -> bool:
    """Whether a note of two beats or less from here on lies across the middle of a bar of four."""
    middle = bar.tick + bar.length // 2
    return bar.numerator % 4 == 0 and start < middle < start + 2 * QUARTER and (middle - start) < QUARTER + 1


def _group(bar: Bar) -> int:
    """Length of what counts as a beat for the eye (ticks)."""
    if bar.denominator == 8 and bar.numerator % 3 == 0 and bar.numerator > 3:
        return 3 * bar.beat
    return min(bar.beat, QUARTER)
