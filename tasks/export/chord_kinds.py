"""Chords as MusicXML has them: a kind, and degrees that are added or left out. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_KINDS: Final = {
    "maj": "major",
    "min": "minor",
    "dim": "diminished",
    "aug": "augmented",
    "sus2": "suspended-second",
    "sus4": "suspended-fourth",
    "maj6": "major-sixth",
    "min6": "minor-sixth",
    "maj7": "major-seventh",
    "7": "dominant",
    "min7": "minor-seventh",
    "hdim7": "half-diminished",
    "dim7": "diminished-seventh",
    "minmaj7": "major-minor",
    "9": "dominant-ninth",
    "maj9": "major-ninth",
    "min9": "minor-ninth",
    "11": "dominant-11th",
    "maj11": "major-11th",
    "min11": "minor-11th",
    "13": "dominant-13th",
    "maj13": "major-13th",
    "min13": "minor-13th",
    "5": "power",
}
_DEGREE: Final = re.compile(r"(\*?)([b#]*)(\d+)")


@dataclass(frozen=True, slots=True)
class Degree:
    """value: 9 for a ninth. alter: semitones, of an added one from a dominant chord's, whose seventh is minor. kind: add, subtract."""

    value: int
    alter: int
    kind: str


def kind_of(quality: str) -> tuple[str, tuple[Degree, ...]]:
    """Kind and degrees of a quality in Harte's syntax, such as `sus4(b7)`; `other`, with its degrees, for what has no kind."""
    if quality == "(1,5)":
        return "power", ()
    shorthand, _, listed = quality.partition("(")
    degrees = tuple(
        _degree(bool(left_out), accidentals, int(number))
        for left_out, accidentals, number in _DEGREE.findall(listed)
        if shorthand or number != "1"
    )
    return _KINDS.get(shorthand, "other"), degrees


def _degree(left_out: bool, accidentals: str, number: int) -> Degree:
    if left_out:
        return Degree(number, 0, "subtract")
    return Degree(number, accidentals.count("#") - accidentals.count("b") + (1 if number == 7 else 0), "add")
