"""Chords, progressions and scales as the styles write them, in one key or another.

A progression is text: bars between `|`, the chords of a bar between spaces, `%` for a bar like the one before. A chord is a degree of the
major scale, a quality in Harte's shorthand (Harte et al., ISMIR 2005) and perhaps the interval in the bass: `b7:maj`, `5:7/3`. Chords
share a bar equally, in whole beats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tasks.common.harmony.harte import TONES

QUALITIES: Final[Mapping[str, tuple[int, ...]]] = {**TONES, "5": (0, 7)}
SCALES: Final[dict[str, tuple[int, ...]]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "blues": (0, 2, 3, 4, 5, 7, 9, 10),
}
_DEGREES: Final = (0, 2, 4, 5, 7, 9, 11)
_LETTERS: Final = "CDEFGAB"
_MAJOR_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_MINOR_NAMES: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
_CHORD: Final = re.compile(r"([b#]?)([1-7]):([a-z0-9]+)(?:/([b#]?)([1-7]))?$")


@dataclass(frozen=True)
class Key:
    """tonic: pitch class. mode: one of SCALES."""

    tonic: int
    mode: str

    @cached_property
    def name(self) -> str:
        return (_MINOR_NAMES if self.is_minor else _MAJOR_NAMES)[self.tonic]

    @property
    def is_minor(self) -> bool:
        return self.mode in ("minor", "dorian")

    @property
    def label(self) -> str:
        """Such as `Gb major`; a mode counts as the major or minor that has its third."""
        return f"{self.name} {'minor' if self.is_minor else 'major'}"

    def moved(self, semitones: int) -> Key:
        return Key((self.tonic + semitones) % 12, self.mode)

    def spelled(self, accidental: str, degree: int) -> str:
        """The name of a degree: in G flat the fourth is C flat, not B. Double accidentals are written as the plain note."""
        letter = _LETTERS[(_LETTERS.index(self.name[0]) + degree - 1) % 7]
        wanted = (self.tonic + _interval(accidental, degree)) % 12
        offset = (wanted - _DEGREES[_LETTERS.index(letter)] + 6) % 12 - 6
        if abs(offset) > 1:
            return _MAJOR_NAMES[wanted]
        return letter + ("b" if offset < 0 else "#" * offset)


@dataclass(frozen=True)
class Chord:
    """root: pitch class. bass: semitones of the lowest note above the root."""

    root: int
    quality: str
    bass: int
    label: str

    @property
    def tones(self) -> tuple[int, ...]:
        """Pitch classes, the root first."""
        return tuple((self.root + interval) % 12 for interval in QUALITIES[self.quality])

    @property
    def bass_class(self) -> int:
        return (self.root + self.bass) % 12

    def tone(self, degree: int) -> int:
        """Pitch class of the third, fifth or seventh as the chord has it; where it has none, of the root."""
        for interval in QUALITIES[self.quality]:
            if {3: (3, 4, 5, 2), 5: (6, 7, 8), 7: (9, 10, 11)}[degree].count(interval):
                return (self.root + interval) % 12
        return self.root


def parsed(text: str, key: Key) -> Chord:
    found = _CHORD.match(text)
    if not found:
        raise ValueError(f"{text} is no chord")
    accidental, degree, quality, bass_accidental, bass_degree = found.groups()
    bass = _interval(bass_accidental, int(bass_degree)) if bass_degree else 0
    label = f"{key.spelled(accidental, int(degree))}:{quality}" + (f"/{bass_accidental}{bass_degree}" if bass_degree else "")
    return Chord((key.tonic + _interval(accidental, int(degree))) % 12, quality, bass, label)


def bars_of(progression: str) -> list[list[str]]:
    """The chords of each bar, as text."""
    bars: list[list[str]] = []
    for bar in progression.split("|"):
        names = bar.split()
        bars.append(bars[-1] if names == ["%"] else names)
    return bars


def scale_under(key: Key, chord: Chord) -> tuple[int, ...]:
    """Pitch classes a melody may use: the chord's, and those of the key that do not rub against them."""
    tones = set(chord.tones)
    rubbing = {(tone + step) % 12 for tone in tones for step in (1, -1)}
    scale = {(key.tonic + step) % 12 for step in SCALES[key.mode]}
    own = {tone for tone in scale if tone not in rubbing or ((tone + 1) % 12 not in tones - scale and (tone - 1) % 12 not in tones - scale)}
    return tuple(sorted(tones | own))


def _interval(accidental: str, degree: int) -> int:
    return _DEGREES[degree - 1] + {"b": -1, "#": 1, "": 0}[accidental]
