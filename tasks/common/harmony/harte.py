"""Chord labels in Harte's syntax: taking them apart, putting them together, and writing them as a musician would.

A label is `root:quality/bass`, `N` (no chord) or `X` (a chord that no label fits). The quality is a shorthand, degrees in brackets, or
both: `A:min7`, `C:maj(9)`, `G:sus4(b7)`, `C:(1,5)`; none means a major triad. The bass is a degree above the root: `A:min7/b3`.

Source: Harte, Sandler, Abdallah and Gómez, "Symbolic representation of musical chords" (ISMIR 2005).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tasks.common.harmony.spelling import degree_above

NO_CHORD: Final = "N"
UNKNOWN: Final = "X"

_LABEL: Final = re.compile(
    r"(?P<root>[A-G](?:b*|#*))"
    r"(?::(?P<quality>(?:[a-z]+\d*|\d+)?(?:\((?:\*?[b#]*\d+)(?:,\*?[b#]*\d+)*\))?))?"
    r"(?:/(?P<bass>[b#]*\d+))?"
)

#: Semitones above the root of the shorthands (table 1 of the paper), ninths above the octave.
TONES: Final[Mapping[str, tuple[int, ...]]] = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "maj7": (0, 4, 7, 11),
    "7": (0, 4, 7, 10),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "minmaj7": (0, 3, 7, 11),
    "9": (0, 4, 7, 10, 14),
    "maj9": (0, 4, 7, 11, 14),
    "min9": (0, 3, 7, 10, 14),
    "11": (0, 4, 7, 10, 14, 17),
    "13": (0, 4, 7, 10, 14, 21),
}
_DEGREE: Final = re.compile(r"(\*?)([b#]*)(\d+)")
_MAJOR_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
#: What follows the root on a lead sheet. Other degrees in brackets follow their shorthand's. Alterations are ♭ and ♯, accidentals of roots
#: b and #, so that Bb5 is a power chord on B flat and B(♭5) a chord on B.
_DISPLAY: Final = {
    "maj": "",
    "min": "m",
    "dim": "dim",
    "aug": "aug",
    "5": "5",
    "(1,5)": "5",
    "1": "(no3,5)",
    "sus2": "sus2",
    "sus4": "sus4",
    "sus4(b7)": "7sus4",
    "sus4(b7,9)": "9sus4",
    "7": "7",
    "maj7": "maj7",
    "min7": "m7",
    "minmaj7": "m(maj7)",
    "dim7": "dim7",
    "hdim7": "m7♭5",
    "maj6": "6",
    "min6": "m6",
    "maj6(9)": "6/9",
    "9": "9",
    "maj9": "maj9",
    "min9": "m9",
    "maj(9)": "add9",
    "min(9)": "m(add9)",
    "7(b9)": "7♭9",
    "7(#9)": "7♯9",
    "11": "11",
    "min11": "m11",
    "maj11": "maj11",
    "13": "13",
    "maj13": "maj13",
    "min13": "m13",
}


@dataclass(frozen=True)
class HarteChord:
    """A chord in its parts. root: note name. quality: shorthand with degrees, such as `min7`. bass: degree, None in root position."""

    root: str
    quality: str = "maj"
    bass: str | None = None

    @property
    def label(self) -> str:
        """The chord in Harte's syntax."""
        return f"{self.root}:{self.quality}" + (f"/{self.bass}" if self.bass else "")

    @property
    def bass_note(self) -> str | None:
        """Name of the bass note, None in root position."""
        return degree_above(self.root, self.bass) if self.bass else None

    @property
    def display(self) -> str:
        """What a musician reads: `Am7/C`."""
        return self.root + _quality_display(self.quality) + (f"/{self.bass_note}" if self.bass else "")


def semitones(degree: str) -> int:
    """Semitones of a degree above the root, ninths above the octave: 10 for `b7`, 14 for `9`."""
    number = int(degree.lstrip("b#")) - 1
    return 12 * (number // 7) + _MAJOR_SCALE[number % 7] + degree.count("#") - degree.count("b")


def tones(quality: str) -> tuple[int, ...]:
    """Semitones of a quality above its root: (0, 5, 7, 10) for `sus4(b7)`. A shorthand that is not known counts as its triad."""
    shorthand, _, degrees = quality.partition("(")
    triad = "min" if shorthand.startswith("min") else "maj"
    found = set(TONES.get(shorthand, TONES[triad]) if shorthand else (0,))
    for left_out, accidentals, number in _DEGREE.findall(degrees):
        tone = semitones(accidentals + number)
        found = found - {tone} if left_out else found | {tone}
    return tuple(sorted(found))


def parse(label: str) -> HarteChord | None:
    """Take a label apart; None for `N` and `X`. Raises ValueError where it is not in Harte's syntax."""
    if label in (NO_CHORD, UNKNOWN):
        return None
    match = _LABEL.fullmatch(label)
    if match is None or match["quality"] == "":
        raise ValueError(f"{label!r} is not a chord in Harte's syntax")
    bass = match["bass"]
    return HarteChord(match["root"], match["quality"] or "maj", None if bass == "1" else bass)


def display(label: str) -> str:
    """What a musician reads for a label: `Am7/C`, `N.C.` for no chord, `X` for one that no label fits. Raises ValueError."""
    chord = parse(label)
    if chord is None:
        return "N.C." if label == NO_CHORD else label
    return chord.display


def qualities_by_name() -> dict[str, str]:
    """{what follows the root on a lead sheet: quality}, of those with a name of their own."""
    return {name: quality for quality, name in _DISPLAY.items() if quality != "5"}


def _quality_display(quality: str) -> str:
    if quality in _DISPLAY:
        return _DISPLAY[quality]
    shorthand, _, degrees = quality.partition("(")
    named = _DISPLAY.get(shorthand, shorthand)
    pretty = degrees.rstrip(")").replace("*", "no").replace("b", "♭").replace("#", "♯")
    return f"{named}({pretty})" if pretty else named
