"""Every chord sounds the same by MusicXML's kinds and degrees as by its label."""

from __future__ import annotations

import pytest

from tasks.common.harmony import harte
from tasks.export.chord_kinds import Degree, kind_of

#: Semitones above the root, as the MusicXML documentation says of the kinds.
KINDS = {
    "major": {0, 4, 7},
    "minor": {0, 3, 7},
    "augmented": {0, 4, 8},
    "diminished": {0, 3, 6},
    "dominant": {0, 4, 7, 10},
    "major-seventh": {0, 4, 7, 11},
    "minor-seventh": {0, 3, 7, 10},
    "diminished-seventh": {0, 3, 6, 9},
    "augmented-seventh": {0, 4, 8, 10},
    "half-diminished": {0, 3, 6, 10},
    "major-minor": {0, 3, 7, 11},
    "major-sixth": {0, 4, 7, 9},
    "minor-sixth": {0, 3, 7, 9},
    "dominant-ninth": {0, 2, 4, 7, 10},
    "major-ninth": {0, 2, 4, 7, 11},
    "minor-ninth": {0, 2, 3, 7, 10},
    "dominant-11th": {0, 2, 4, 5, 7, 10},
    "dominant-13th": {0, 2, 4, 7, 9, 10},
    "suspended-second": {0, 2, 7},
    "suspended-fourth": {0, 5, 7},
    "power": {0, 7},
    "other": {0},
}
#: Degrees of a dominant chord's scale.
SCALE = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 10, 9: 2, 10: 4, 11: 5, 13: 9}


def sounding(quality: str) -> set[int]:
    kind, degrees = kind_of(quality)
    found = set(KINDS[kind])
    for degree in degrees:
        tone = (SCALE[degree.value] + degree.alter) % 12
        found = found | {tone} if degree.kind == "add" else found - {left for left in found if left in _third_or_fifth(degree)}
    return found


def _third_or_fifth(degree: Degree) -> set[int]:
    """What a degree that is left out may be in a kind."""
    return {1: {0}, 3: {3, 4}, 5: {6, 7, 8}, 7: {9, 10, 11}, 9: {2}}[degree.value]


@pytest.mark.parametrize(
    "quality", [*harte.TONES, "sus4(b7)", "maj(9)", "7(b9)", "7(#9)", "maj6(9)", "min(9)", "(1,5)", "(1,3,7)", "maj(*3)", "1"]
)
def test_a_quality_sounds_the_same(quality: str) -> None:
    wanted = {0} if quality == "1" else {tone % 12 for tone in harte.tones(quality)}
    assert sounding(quality) == wanted
