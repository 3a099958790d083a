"""Boundaries from bar features."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.structure.features import BarFeatures
from tasks.structure.segmentation import novelty, phrase_similarity, place_boundaries, recurrence_graph, segment

GOLDEN = json.loads((Path(__file__).parent / "golden" / "boundaries.json").read_text())


@pytest.mark.parametrize("form", ["IVCVC", "VCVCBC", "IVVCSVC"])
def test_every_change_of_section_is_a_boundary_and_nothing_else_is(song: Callable[..., BarFeatures], form: str) -> None:
    found = segment(song(form)).section
    changes = {8 * i for i in range(1, len(form)) if form[i] != form[i - 1]}
    assert set(found) == {0, 8 * len(form)} | changes | ({16} & set(found) if form == "IVVCSVC" else set())


def test_levels_are_nested_and_cover_the_song(song: Callable[..., BarFeatures]) -> None:
    found = segment(song("IVCVCBC"))
    assert set(found.coarse) <= set(found.section) <= set(found.fine)
    for level in (found.coarse, found.section, found.fine):
        assert level[0] == 0
        assert level[-1] == 56
        assert list(level) == sorted(set(level))


@pytest.mark.parametrize("bars", [1, 2, 3, 7])
def test_a_short_song_is_one_section(song: Callable[..., BarFeatures], bars: int) -> None:
    found = segment(song("V", bars_each=bars))
    assert found.section == (0, bars)
    assert found.similarity.shape == (bars, bars)


def test_repeated_sections_are_alike_and_others_are_not(song: Callable[..., BarFeatures]) -> None:
    alike = phrase_similarity(song("VCVC"))
    assert alike.shape == (32, 32)
    assert alike[2, 18] > 0.8
    assert alike[2, 10] < 0.4
    np.testing.assert_allclose(alike, alike.T, atol=1e-9)


def test_the_recurrence_graph_is_symmetric_and_leaves_out_neighbours(song: Callable[..., BarFeatures]) -> None:
    graph = recurrence_graph(phrase_similarity(song("VCVC")))
    np.testing.assert_array_equal(graph, graph.T)
    assert all(graph[i, j] == 0 for i in range(32) for j in range(32) if abs(i - j) <= 2)
    assert graph[2, 18] > 0


def test_novelty_peaks_where_two_blocks_meet() -> None:
    blocks = np.kron(np.eye(2), np.ones((8, 8)))
    curve = novelty(blocks, 4)
    assert int(np.argmax(curve)) == 8
    assert curve[8] == 1.0
    assert curve[0] == 0.0


def test_a_song_without_any_change_has_no_novelty() -> None:
    assert not novelty(np.ones((16, 16)), 4).any()


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_boundaries_are_placed_as_in_the_golden_file(case: dict[str, object]) -> None:
    assert list(place_boundaries(np.array(case["strength"]), str(case["level"]))) == case["boundaries"]


def test_only_allowed_places_are_used() -> None:
    strength = np.zeros(32)
    strength[[8, 12, 24]] = 1.0
    assert place_boundaries(strength, "section", allowed=(0, 8, 24, 32)) == (0, 8, 24, 32)
