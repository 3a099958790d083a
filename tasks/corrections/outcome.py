"""What becomes of a correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fate = Literal["applied", "moved", "conflict", "obsolete"]


@dataclass(frozen=True)
class Outcome:
    """fate: applied; moved: applied where something else was heard, or elsewhere; conflict: not applied; obsolete: heard so by itself."""

    fate: Fate
    text: str


class Conflict(Exception):
    """What a correction says has no place in this map."""


def applied(text: str) -> Outcome:
    return Outcome("applied", text)


def moved(text: str) -> Outcome:
    return Outcome("moved", text)


def obsolete(text: str) -> Outcome:
    return Outcome("obsolete", text)


def clock(seconds: float) -> str:
    """A time as people read it: 1:02.50."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
