"""Chords as musicians write them."""

from __future__ import annotations

import pytest

from tasks.common.harmony import harte
from tasks.common.harmony.lead_sheet import label_of


@pytest.mark.parametrize("quality", harte.qualities_by_name().values())
@pytest.mark.parametrize(("root", "bass"), [("C", None), ("Bb", None), ("F#", "b3"), ("A", "5")])
def test_what_is_shown_is_read_again(root: str, quality: str, bass: str | None) -> None:
    label = harte.HarteChord(root, quality, bass).label
    assert label_of(harte.display(label)) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Am7", "A:min7"),
        ("A:min7", "A:min7"),
        ("C-7", "C:min7"),
        ("CM7", "C:maj7"),
        ("CΔ", "C:maj7"),
        ("B°", "B:dim"),
        ("Bm7b5", "B:hdim7"),
        ("Bb/D", "Bb:maj/3"),
        ("B♭/D", "Bb:maj/3"),
        ("D/F#", "D:maj/3"),
        ("D/Gb", "D:maj/3"),
        ("C6/9", "C:maj6(9)"),
        ("G/F", "G:maj/b7"),
        ("Gsus", "G:sus4"),
        ("N.C.", "N"),
        ("N", "N"),
        (" Em ", "E:min"),
    ],
)
def test_usual_names_are_read(text: str, label: str) -> None:
    assert label_of(text) == label


@pytest.mark.parametrize("text", ["", "H7", "hello", "Amx", "A:foo:bar", "/C", "X"])
def test_what_is_no_chord_is_none(text: str) -> None:
    assert label_of(text) is None
