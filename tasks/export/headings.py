"""Sections as a sheet calls them: `Verse 2`, `Chorus`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.song_map import Section

_NAMES: Final = {"prechorus": "Pre-Chorus", "section": "Part"}


def headings(sections: Sequence[Section | None]) -> tuple[str, ...]:
    """The name of each section, with its number where its label is there more than once; empty for None."""
    times = Counter(section.label for section in sections if section is not None)
    return tuple("" if section is None else _heading(section, times[section.label]) for section in sections)


def _heading(section: Section, times: int) -> str:
    name = _NAMES.get(section.label, section.label.capitalize())
    return f"{name} {section.index}" if times > 1 else name
