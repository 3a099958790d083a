"""The bar model's decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.beats_key.decode_bars import BarModel, decode_bars, tempo_change_log_probabilities


def test_finds_every_beat_and_its_position(make_activations):
    times = 0.3 + 0.5 * np.arange(40)
    positions = np.arange(40) % 4 + 1
    path = decode_bars(make_activations(times, positions, 20.0), BarModel((4,), 60, 200))
    np.testing.assert_allclose(path.frames / 100, times, atol=0.011)
    np.testing.assert_array_equal(path.positions, positions)
    assert set(path.bar_lengths) == {4}


def test_starts_in_the_middle_of_a_bar(make_activations):
    times = 0.1 + 0.6 * np.arange(30)
    positions = (np.arange(30) + 2) % 4 + 1
    path = decode_bars(make_activations(times, positions, 18.0), BarModel((4,), 60, 200))
    assert path.positions[0] == 3


def test_follows_a_tempo_that_slows_down(make_activations):
    times = np.cumsum(np.linspace(0.45, 0.7, 60))
    positions = np.arange(60) % 4 + 1
    path = decode_bars(make_activations(times, positions, times[-1] + 0.3), BarModel((4,), 60, 200))
    np.testing.assert_allclose(path.frames / 100, times, atol=0.011)


@pytest.mark.parametrize("beats", [3, 4])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_is_the_path_that_madmom_finds(make_activations, beats, noise):
    downbeats = pytest.importorskip("madmom.features.downbeats")
    rng = np.random.default_rng(3)
    times = 0.2 + np.cumsum(0.52 + 0.02 * np.sin(np.arange(50) / 5))
    activations = make_activations(times, np.arange(50) % 4 + 1, 28.0)
    activations = np.clip(activations + noise * rng.random(activations.shape), 0.001, 0.45)
    theirs = downbeats.DBNDownBeatTrackingProcessor(beats_per_bar=[beats], min_bpm=55, max_bpm=215, fps=100, threshold=0)(activations)
    ours = decode_bars(activations, BarModel((beats,), 55, 215))
    np.testing.assert_array_equal(ours.frames, np.round(theirs[:, 0] * 100))
    np.testing.assert_array_equal(ours.positions, theirs[:, 1])


def test_bars_change_their_length_where_that_explains_the_downbeats(make_activations):
    positions = np.concatenate([np.tile([1, 2, 3, 4], 8), np.tile([1, 2, 3], 10)])
    times = 0.2 + 0.5 * np.arange(len(positions))
    path = decode_bars(make_activations(times, positions, times[-1] + 0.3), BarModel((3, 4), 60, 200, switch_probability=1e-5))
    np.testing.assert_array_equal(path.bar_lengths, np.repeat([4, 3], [32, 30]))
    np.testing.assert_array_equal(path.positions, positions)


def test_nothing_comes_of_no_frames():
    path = decode_bars(np.zeros((0, 2)), BarModel((4,), 40, 240))
    assert len(path.frames) == 0


def test_stands_silence_certainty_and_a_single_frame():
    for activations in (np.zeros((300, 2)), np.tile([0.0, 1.0], (300, 1)), np.full((1, 2), 0.3)):
        path = decode_bars(activations, BarModel((4,), 40, 240))
        assert np.isfinite(path.log_probability)


@given(st.integers(0, 2**32 - 1), st.integers(30, 500))
@settings(max_examples=10, deadline=None)
def test_beats_ascend_and_positions_count_up_whatever_is_heard(seed, frames):
    activations = np.random.default_rng(seed).dirichlet([1, 1, 8], frames)[:, :2]
    path = decode_bars(activations, BarModel((3, 4), 60, 200, switch_probability=0.01))
    assert np.all(np.diff(path.frames) > 0)
    assert np.all((path.frames >= 0) & (path.frames < frames))
    follows = (path.positions[1:] == path.positions[:-1] + 1) | ((path.positions[1:] == 1) & (path.positions[:-1] == path.bar_lengths[:-1]))
    assert follows.all()


def test_tempo_changes_are_probabilities_and_small_ones_the_likelier():
    change = np.exp(tempo_change_log_probabilities(np.array([40, 44, 50, 60])))
    np.testing.assert_allclose(change.sum(axis=1), 1)
    assert change[0, 0] > change[0, 1] > change[0, 2]


def test_agrees_with_the_golden_decoding(golden):
    for case in golden("decode"):
        activations = np.full((case["frames"], 2), 0.01)
        for frame, beat, downbeat in case["peaks"]:
            activations[frame] = beat, downbeat
        path = decode_bars(activations, BarModel(tuple(case["beats_per_bar"]), *case["bpm"], switch_probability=case["switch"]))
        assert path.frames.tolist() == case["expected"]["frames"], case["name"]
        assert path.positions.tolist() == case["expected"]["positions"], case["name"]
        assert path.bar_lengths.tolist() == case["expected"]["bar_lengths"], case["name"]
