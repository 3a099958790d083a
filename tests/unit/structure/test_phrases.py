"""Phrases: where they begin, and how long they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.structure.features import BarFeatures
from tasks.structure.phrases import CUES, cues, phrase_model, phrases_in, place_phrases, runs

GOLDEN = json.loads((Path(__file__).parent / "golden" / "phrases.json").read_text(encoding="utf-8"))
EIGHTS = np.log(np.array([1e-9, *(0.9 if bars == 8 else 0.1 / 15 for bars in range(1, 17))]))


def test_without_evidence_phrases_have_the_usual_length() -> None:
    assert place_phrases(np.zeros(32), EIGHTS) == (0, 8, 16, 24, 32)


def test_a_pickup_bar_costs_nothing() -> None:
    evidence = np.zeros(33)
    evidence[[1, 9, 17, 25]] = 1.0
    assert place_phrases(evidence, EIGHTS) == (0, 1, 9, 17, 25, 33)


def test_strong_evidence_makes_a_phrase_of_another_length() -> None:
    evidence = np.zeros(28)
    evidence[12] = 20.0
    assert 12 in place_phrases(evidence, EIGHTS)


@pytest.mark.parametrize("bars", [1, 2, 40])
def test_phrases_cover_the_song(bars: int) -> None:
    found = place_phrases(np.zeros(bars), EIGHTS)
    assert (found[0], found[-1]) == (0, bars)
    assert list(found) == sorted(set(found))


def test_phrases_lie_within_sections(song: Callable[..., BarFeatures]) -> None:
    found = phrases_in(song("IVCVC"), (0, 8, 21, 40))
    assert {0, 8, 21, 40} <= set(found)


def test_phrases_of_eight_bars_are_found_where_parts_change(song: Callable[..., BarFeatures]) -> None:
    found = phrases_in(song("IVCVCBC"))
    assert {8, 16, 24, 32, 40, 48} <= set(found)


@pytest.mark.parametrize("bars", [1, 3, 9])
def test_few_bars_have_cues_too(song: Callable[..., BarFeatures], bars: int) -> None:
    found = cues(song("V", bars_each=bars))
    assert found.shape == (bars, len(CUES))
    assert np.isfinite(found).all()


def test_runs_are_mean_likenesses_along_the_diagonal() -> None:
    similarity = np.eye(6)
    similarity[0, 3] = similarity[1, 4] = 1.0
    assert runs(similarity)[0, 0] == 1.0
    assert runs(similarity)[0, 3] == pytest.approx(2 / 3)


@pytest.mark.parametrize("case", GOLDEN)
def test_phrases_are_placed_as_in_the_golden_file(case: dict[str, list[float]]) -> None:
    assert list(place_phrases(np.array(case["evidence"]), phrase_model().lengths)) == case["phrases"]
