"""Names of notes, and ranges of them."""

from __future__ import annotations

import pytest

from tasks.common.errors import OptionInvalid
from tasks.common.note_names import note_name, note_number, note_range


@pytest.mark.parametrize(
    ("text", "midi"),
    [
        ("C4", 60),
        ("a4", 69),
        ("E2", 40),
        ("B0", 23),
        ("F#3", 54),
        ("Bb3", 58),
        ("b3", 59),
        ("Cb4", 59),
        ("B#3", 60),
        ("C-1", 0),
        ("60", 60),
    ],
)
def test_a_note_is_a_name_or_a_number(text: str, midi: int) -> None:
    assert note_number(text) == midi


def test_every_note_has_a_name_that_means_it() -> None:
    assert [note_number(note_name(midi)) for midi in range(120)] == list(range(120))


@pytest.mark.parametrize("text", ["", "H4", "C", "4C", "C##4", "-3", "6.5", "²"])
def test_anything_else_is_no_note(text: str) -> None:
    with pytest.raises(OptionInvalid, match="is no note"):
        note_number(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("E2-C6", (40, 84)),
        ("40-84", (40, 84)),
        ("E2-84", (40, 84)),
        ("Bb1 - F#3", (34, 54)),
        ("E2–C6", (40, 84)),
        ("E2..C6", (40, 84)),
        ("E2-", (40, None)),
        ("-C6", (None, 84)),
        ("C-1-C0", (0, 12)),
    ],
)
def test_a_range_has_a_lowest_and_a_highest_note_or_one_of_them(text: str, expected: tuple[int | None, int | None]) -> None:
    assert note_range(text) == expected


@pytest.mark.parametrize("text", ["", "-", "E2", "E2 C6", "E2-Z6", "40-84-90"])
def test_anything_else_is_no_range(text: str) -> None:
    with pytest.raises(OptionInvalid, match="is no range of notes"):
        note_range(text)
