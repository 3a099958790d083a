"""Sections decided together with their functions."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.results import Word
from tasks.structure.allinone.contract import FUNCTIONS as NETWORK_FUNCTIONS
from tasks.structure.features import BarFeatures
from tasks.structure.functional import (
    FUNCTIONS,
    boundary_scores,
    boundary_scores_alone,
    decide,
    expected_boundaries,
    function_scores,
    network_evidence,
    no_evidence,
    repeated_words,
    repetition_by_bar,
    usual_lengths,
)

NAMES = NETWORK_FUNCTIONS


def words_of(text: str, start: float = 0.0, each: float = 0.5) -> list[Word]:
    return [Word(start=start + each * i, end=start + each * (i + 1), text=word, confidence=1.0) for i, word in enumerate(text.split())]


def bars_of(sung: str) -> BarFeatures:
    """Bars of two seconds, sung where there is an x."""
    n = len(sung)
    vocal = np.array([1.0 if c == "x" else 0.0 for c in sung])
    return BarFeatures(np.arange(n + 1) * 2.0, np.zeros((n, 48)), np.zeros((n, 13)), np.zeros((n, 1)), vocal)


def test_words_that_come_back_far_away_are_repeated() -> None:
    verse = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    found = repeated_words(f"We will dance tonight, {verse} we will dance tonight".split())
    assert found == [True] * 4 + [False] * 16 + [True] * 4


def test_a_line_that_is_said_twice_in_a_row_is_not_a_chorus() -> None:
    assert not any(repeated_words(["na", "na", "na", "na", "na", "na", "na", "na"]))


def test_fewer_words_than_a_run_are_not_repeated() -> None:
    assert repeated_words(["la", "la"]) == [False, False]
    assert repeated_words([]) == []


def test_bars_without_words_say_nothing_about_repetition() -> None:
    found = repetition_by_bar(words_of("a b c d", start=2.0), np.array([0.0, 2.0, 4.0, 6.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.0, np.nan])


def test_the_network_s_names_are_merged() -> None:
    function = np.zeros((10, 200), np.float32)
    function[NAMES.index("start"), :100] = 0.5
    function[NAMES.index("intro"), :100] = 0.5
    function[NAMES.index("chorus"), 100:] = 1.0
    evidence = network_evidence(function, NAMES, 100.0, np.array([0.0, 1.0, 2.0]))
    assert evidence.shape == (2, len(FUNCTIONS))
    assert [FUNCTIONS[i] for i in evidence.argmax(axis=1)] == ["intro", "chorus"]
    assert evidence[0].max() == pytest.approx(0.0, abs=2e-3)


def test_a_boundary_is_expected_at_the_nearest_downbeat() -> None:
    section = np.zeros(1000, np.float32)
    section[430] = 0.6  # 4.3 s
    found = expected_boundaries(section, 100.0, np.array([0.0, 2.0, 4.0, 6.0, 10.0]))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.6, 0.0])


def test_a_song_falls_into_the_sections_the_evidence_speaks_for() -> None:
    bars = bars_of("....xxxxxxxxxxxxxxxx....")
    network = np.full((len(bars), len(FUNCTIONS)), np.log(0.02))
    for first, last, label in ((0, 4, "intro"), (4, 12, "verse"), (12, 20, "chorus"), (20, 24, "outro")):
        network[first:last, FUNCTIONS.index(label)] = np.log(0.9)
    scores = function_scores(bars, network, np.full(len(bars), np.nan))
    found = decide(scores, boundary_scores(np.full(len(bars), 0.05), np.zeros(len(bars))))
    assert [(s.first, s.last, s.label) for s in found] == [(0, 4, "intro"), (4, 12, "verse"), (12, 20, "chorus"), (20, 24, "outro")]
    assert all(s.confidence > 0.8 for s in found)


def test_words_that_come_back_make_a_chorus_without_a_network() -> None:
    bars = bars_of("x" * 16)
    repetition = np.array([0.0] * 8 + [1.0] * 8)
    found = decide(function_scores(bars, no_evidence(16), repetition), boundary_scores_alone(np.zeros(16)), usual_lengths())
    assert [s.first for s in found] == [0, 8]
    assert found[1].label == "chorus"
    assert found[0].label != "chorus"


def test_without_evidence_a_song_is_one_section() -> None:
    bars = bars_of("x" * 12)
    found = decide(function_scores(bars, no_evidence(12), np.full(12, np.nan)), boundary_scores_alone(np.zeros(12)))
    assert [(s.first, s.last) for s in found] == [(0, 12)]


def test_a_song_longer_than_any_section_is_divided() -> None:
    scores = np.zeros((100, len(FUNCTIONS)))
    found = decide(scores, np.full(100, -2.0))
    assert [found[0].first, found[-1].last] == [0, 100]
    assert all(s.last - s.first <= 40 for s in found)


def test_one_bar_is_one_section() -> None:
    assert [(s.first, s.last) for s in decide(np.zeros((1, len(FUNCTIONS))), np.zeros(1))] == [(0, 1)]
