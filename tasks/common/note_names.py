"""Names of notes in scientific pitch notation: C4 is MIDI 60, the A above it is A4 (440 Hz)."""

from __future__ import annotations

import re
from typing import Final

from tasks.common.errors import OptionInvalid

_NAMES: Final = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NOTE: Final = re.compile(r"([A-Ga-g])([#♯b♭]?)(-?\d)")
_STEPS: Final = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
#: Two notes, either of which may be left out. A hyphen before a digit may also be the sign of an octave: C-1 is MIDI 0.
_RANGE: Final = re.compile(r"\s*([A-Ga-g][#♯b♭]?-?\d|\d+)?\s*(?:-|–|\.\.)\s*([A-Ga-g][#♯b♭]?-?\d|\d+)?\s*")


def note_name(midi: int) -> str:
    """The name of a MIDI note number, with sharps."""
    return f"{_NAMES[midi % 12]}{midi // 12 - 1}"


def note_number(text: str) -> int:
    """The MIDI note number that a name, such as F#2 or Bb3, or the number itself stands for. Raises OptionInvalid."""
    if text.isascii() and text.isdigit():
        return int(text)
    named = _NOTE.fullmatch(text)
    if named is None:
        raise OptionInvalid(f"{text!r} is no note", "Give a name such as E2, F#3 or Bb4 (C4 is middle C), or a MIDI note number")
    letter, accidental, octave = named.groups()
    return _NAMES.index(letter.upper()) + _STEPS[accidental] + 12 * (int(octave) + 1)


def note_range(text: str) -> tuple[int | None, int | None]:
    """The lowest and the highest note of a range such as E2-C6, 40-84 or E2- (which leaves the highest out). Raises OptionInvalid."""
    found = _RANGE.fullmatch(text)
    lowest, highest = found.groups() if found else (None, None)
    if lowest is None and highest is None:
        raise OptionInvalid(f"{text!r} is no range of notes", "Give LOWEST-HIGHEST, such as E2-C6 or 40-84; either may be left out")
    return None if lowest is None else note_number(lowest), None if highest is None else note_number(highest)
