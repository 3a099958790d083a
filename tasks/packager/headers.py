"""Sections named by the headers of given lyrics: who wrote `[Chorus]` over lines knows better than any model what is sung there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.results import AlignedLyrics, GivenHeader, Section

#: A section takes the name of the header whose lines fill most of it, if they fill so much of it, and so much of what is sung in it.
OF_SECTION, OF_SUNG = 1 / 3, 1 / 2
_NOTHING: Final = 1e-9


def named_by_headers(sections: Sequence[Section], aligned: AlignedLyrics | None) -> tuple[Section, ...]:
    """The sections with the names that the headers of the lyrics give them; boundaries, groups and confidences stay as they were.

    A section in which nothing is sung, or under no header of which the function is known, keeps its name.
    """
    if aligned is None or not aligned.given.fits or not aligned.given.headers:
        return tuple(sections)
    counts: Counter[str] = Counter()
    named = []
    for section in sections:
        label = _label(section, aligned) or section.label
        counts[label] += 1
        named.append(section.model_copy(update={"label": label, "index": counts[label]}))
    return tuple(named)


def _label(section: Section, aligned: AlignedLyrics) -> str | None:
    sung: dict[int, float] = {}
    for line in aligned.lines:
        shared = min(section.end, line.end) - max(section.start, line.start)
        if shared > 0:
            number = _header_of(line.start, aligned.given.headers)
            sung[number] = sung.get(number, 0.0) + shared
    best = max(sung, key=lambda number: sung[number], default=-1)
    if best < 0:
        return None
    enough = sung[best] >= OF_SECTION * (section.end - section.start) and sung[best] >= OF_SUNG * sum(sung.values()) - _NOTHING
    return aligned.given.headers[best].label if enough else None


def _header_of(time: float, headers: Sequence[GivenHeader]) -> int:
    """Which header a line that begins at `time` is under; -1 before the first."""
    return sum(1 for header in headers if header.start <= time + _NOTHING) - 1
