"""Names of notes: which of its names a pitch gets in a key, and which note lies a degree above a root.

Everything is counted on the line of fifths, on which every note name has one place: … Bb F C G D A E B F# …, with C at 0. Names that differ
only in their accidentals lie seven places apart, names of one pitch twelve.
"""

from __future__ import annotations

from typing import Final

_LETTERS: Final = "FCGDAEB"  # places -1 … 5
_DEGREES: Final = {1: 0, 2: 2, 3: 4, 4: -1, 5: 1, 6: 3, 7: 5}  # of the major scale, in fifths above its tonic
#: Of a key's two names the one with fewer accidentals in its signature; of F# and Gb, Eb and D# minor, that which is written more often.
_TONICS: Final = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}
#: Without a key: Ab Eb Bb F C G D A E B F# C#, the commonest names.
_NO_KEY: Final = -4


def place_of(name: str) -> int:
    """Place of a note name (`Bb`) on the line of fifths."""
    return _LETTERS.index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))


def name_at(place: int) -> str:
    """The note name at a place of the line of fifths. Names with more than one accidental are replaced by the simple one of the pitch."""
    while place > 12:  # beyond B#
        place -= 12
    while place < -8:  # before Fb
        place += 12
    accidentals, letter = divmod(place + 1, 7)
    return _LETTERS[letter] + ("#" * accidentals if accidentals > 0 else "b" * -accidentals)


def pitch_class(name: str) -> int:
    """Semitones above C, 0 … 11."""
    return place_of(name) * 7 % 12


def tonic_name(pitch: int, mode: str) -> str:
    """Name of the tonic of a major or minor key, by its semitones above C."""
    return _TONICS[mode][pitch % 12]


def degree_above(root: str, degree: str) -> str:
    """Name of the note a degree above a root: `b3` above `A` is `C`. Degrees beyond the octave count as those within it."""
    number = (int(degree.lstrip("b#")) - 1) % 7 + 1
    return name_at(place_of(root) + _DEGREES[number] + 7 * (degree.count("#") - degree.count("b")))


def respell(name: str, tonic: str | None = None, mode: str = "major") -> str:
    """The name that a note of this pitch has in a key: `A#` is `Bb` in F major. Without a key, the commonest name.

    Outside the scale a major key has b2, b3, #4, b6 and b7; a minor key, seen from its relative major, b3, b7, #1, #4 and #5 (so that its
    leading note is a raised seventh).
    """
    if tonic is None:
        return name_at(_within(pitch_class(name), _NO_KEY))
    scale_start = place_of(tonic) - (1 if mode == "major" else 4)  # the fourth degree of the (relative) major scale
    place = _within(pitch_class(name), scale_start - (4 if mode == "major" else 2))
    in_scale = scale_start <= place <= scale_start + 6
    # E#, B#, Cb and Fb are names of notes of the scale, and of no others.
    if not in_scale and not -6 <= place <= 10:
        place += 12 if place < 0 else -12
    return name_at(place)


def _within(pitch: int, first: int) -> int:
    """The place of a pitch class among the twelve that begin at `first`."""
    return first + (pitch * 7 - first) % 12
