"""Every key that a Song Map may have has a signature."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.song_map import Key
from tasks.export.signatures import fifths_of


def key(tonic: str, mode: str) -> Key:
    return Key(start=0, end=1, tonic=tonic, mode=mode, conf=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tonic", "mode", "fifths"),
    [
        ("C", "major", 0),
        ("A", "minor", 0),
        ("F", "major", -1),
        ("C#", "major", 7),
        ("Eb", "minor", -6),
        ("G#", "minor", 5),
        ("G#", "major", -4),  # as Ab
        ("Db", "minor", 4),  # as C#
    ],
)
def test_signatures(tonic: str, mode: str, fifths: int) -> None:
    assert fifths_of(key(tonic, mode)) == fifths


def test_no_key_needs_more_than_seven() -> None:
    every = product("ABCDEFG", ("", "b", "#"), ("major", "minor"))
    assert all(-7 <= fifths_of(key(letter + accidental, mode)) <= 7 for letter, accidental, mode in every)
