"""Syllables fill their word, and begin with the notes that are sung in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.common.syllables.timing import timed_syllables


def beginnings(word: str, end: float, onsets: list[float]) -> list[float]:
    """Of the syllables of an English word that begins at 10 s, after the first."""
    return [round(start - 10, 6) for start, _, _ in timed_syllables(word, 10.0, 10.0 + end, "en", [10 + onset for onset in onsets])[1:]]


@pytest.mark.parametrize(
    ("word", "onsets", "expected"),
    [
        ("banana", [], [0.3, 0.6]),
        ("banana", [0.0, 0.25, 0.7], [0.25, 0.7]),
        ("banana", [0.7], [0.3500, 0.7]),  # what has no note lies between those that have
        ("banana", [0.28, 0.45, 0.62], [0.28, 0.62]),  # a syllable on two notes begins with its own
        ("banana", [-1.0, 0.01, 0.895, 2.0], [0.3, 0.6]),  # notes of other words, and those at its edges
        ("shining", [0.85], [0.45]),  # too far from where it could be
        ("the", [0.3, 0.6], []),
    ],
)
def test_syllables_begin_with_notes(word: str, onsets: list[float], expected: list[float]) -> None:
    assert beginnings(word, 0.9, onsets) == pytest.approx(expected)


def test_the_texts_are_those_of_the_division() -> None:
    assert timed_syllables("again,", 1.0, 2.0, "en", []) == ((1.0, 1.5, "a"), (1.5, 2.0, "gain,"))


@pytest.mark.parametrize(("word", "language"), [("حبيبي", "ar"), ("strength", "en"), ("24/7", None)])
def test_a_word_that_is_not_divided_is_one_syllable(word: str, language: str | None) -> None:
    assert timed_syllables(word, 1.0, 2.0, language, [1.3, 1.6]) == ((1.0, 2.0, word),)


def test_a_word_too_short_for_its_syllables_is_one() -> None:
    assert timed_syllables("banana", 1.0, 1.08, "en", []) == ((1.0, 1.08, "banana"),)


def test_nothing_has_no_syllables() -> None:
    assert timed_syllables("", 1.0, 2.0, "en", []) == ()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["banana", "yesterday", "unbelievable", "さくらさくら", "again"]),
    st.floats(0.001, 20),
    st.lists(st.floats(0, 22), max_size=30).map(sorted),
)
def test_syllables_fill_their_word_whatever_is_sung(word: str, length: float, onsets: list[float]) -> None:
    found = timed_syllables(word, 1.0, 1.0 + length, "en", onsets)
    assert (found[0][0], found[-1][1]) == (1.0, 1.0 + length)
    assert "".join(text for _, _, text in found) == word
    assert all(start < end for start, end, _ in found)
    assert all(before[1] == after[0] for before, after in pairwise(found))
