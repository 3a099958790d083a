"""From activations to the beat grid."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.beats_key.beat_grid import (
    BeatGrid,
    calibrated,
    doubled,
    drop_unsupported,
    find_grid,
    in_range,
    peak_confidences,
    refine_peaks,
)


def counted(lengths: list[int]) -> np.ndarray:
    return np.concatenate([np.arange(1, length + 1) for length in lengths])


def test_places_beats_between_frames(make_activations):
    times = 0.253 + 0.4567 * np.arange(28)
    grid = find_grid(make_activations(times, counted([4] * 7), 13.1), 60, 200)
    np.testing.assert_allclose(grid.times, times, atol=0.002)


def test_confidence_is_the_probability_of_a_beat(make_activations):
    times = 0.25 + 0.5 * np.arange(24)
    positions = counted([4] * 6)
    clear = find_grid(make_activations(times, positions, 12.3, height=0.9), 60, 200)
    faint = find_grid(make_activations(times, positions, 12.3, height=0.3), 60, 200)
    assert 0.8 < clear.confidences.mean() < 0.95
    assert 0.2 < faint.confidences.mean() < 0.4


def test_no_pulse_is_found_in_noise_silence_or_nothing():
    rng = np.random.default_rng(1)
    for activations in (rng.uniform(0, 0.06, (2000, 2)), np.zeros((2000, 2)), np.zeros((0, 2)), np.full((1, 2), 0.3)):
        assert len(find_grid(activations, 60, 200).times) == 0


def test_no_beats_are_made_up_in_a_silent_intro_and_outro(make_activations):
    times = 10.0 + 0.5 * np.arange(24)
    grid = find_grid(make_activations(times, counted([4] * 6), 32.0), 60, 200)
    assert grid.times[0] > 9.9
    assert grid.times[-1] < 21.7


def grid_of(confidences: list[float]) -> BeatGrid:
    count = len(confidences)
    return BeatGrid(0.5 * np.arange(count), np.arange(count) % 4 + 1, np.array(confidences), np.full(count, 4), 0.9)


def test_a_quiet_bar_is_bridged_but_a_long_pause_is_not():
    assert len(drop_unsupported(grid_of([0.8] * 8 + [0.01] * 8 + [0.8] * 8)).times) == 24
    assert len(drop_unsupported(grid_of([0.8] * 8 + [0.01] * 40 + [0.8] * 8)).times) == 16
    assert len(drop_unsupported(grid_of([0.01] * 3 + [0.8] * 8 + [0.01] * 2)).times) == 8
    assert len(drop_unsupported(grid_of([0.01] * 5)).times) == 0
    assert len(drop_unsupported(grid_of([])).times) == 0


def test_peaks_at_the_edges_stay_where_they_are():
    probability = np.array([0.9, 0.2, 0.1, 0.2, 0.8])
    np.testing.assert_array_equal(refine_peaks(probability, np.array([0, 4])), [0, 4])
    np.testing.assert_array_equal(peak_confidences(probability, np.array([0, 4])), [0.9, 0.8])


def a_grid(times: np.ndarray, lengths: list[int]) -> BeatGrid:
    positions = counted(lengths)[: len(times)]
    confidences = 0.5 + 0.01 * np.arange(len(times))
    return BeatGrid(times, positions, confidences, np.repeat(lengths, lengths)[: len(times)], 0.9)


@pytest.mark.parametrize(("lengths", "expected"), [([4, 4], [1, 2, 3, 4, 1, 2, 3, 4] * 2), ([3, 3], [1, 2, 3, 1, 2, 3] * 2)])
def test_a_doubled_grid_has_a_beat_between_each_two_in_bars_of_as_many(lengths, expected):
    slow = a_grid(0.5 * np.arange(sum(lengths)), lengths)
    grid = doubled(slow)
    np.testing.assert_allclose(grid.times, 0.25 * np.arange(2 * sum(lengths) - 1))
    np.testing.assert_array_equal(grid.positions, expected[:-1])
    np.testing.assert_allclose(grid.confidences[1::2], slow.confidences[:-1])
    assert set(grid.bar_lengths) == {lengths[0]}


def test_a_pause_is_not_filled():
    grid = doubled(a_grid(np.array([0.0, 0.5, 1.0, 1.5, 9.5, 10.0, 10.5, 11.0]), [4, 4]))
    assert not ((grid.times > 1.5) & (grid.times < 9.5)).any()
    assert len(grid.times) == 14
    assert grid.positions[grid.times == 9.5] == 1


def test_a_range_above_the_tempo_gets_the_tempo_that_is_an_octave_higher():
    asked = []

    def find(slowest, fastest):
        asked.append((slowest, fastest))
        return a_grid(0.75 * np.arange(16), [4] * 4) if slowest <= 80 <= fastest else BeatGrid.empty()

    assert len(in_range(find, 60, 90).times) == 16
    assert len(in_range(find, 100, 240).times) == 31
    assert len(in_range(find, 160, 170).times) == 31, "the ends belong to the range"
    assert len(in_range(find, 300, 330).times) == 61
    assert len(in_range(find, 90, 110).times) == 0, "two thirds, or four, are no octave"
    asked.clear()
    assert len(in_range(find, 40, 60).times) == 0
    assert asked == [(40, 60)]


def test_a_song_without_pulse_has_none_in_any_range():
    assert len(in_range(lambda *_: BeatGrid.empty(), 100, 240).times) == 0


def test_a_beat_is_as_sure_as_the_networks_and_its_pulse():
    faint, clear = calibrated(np.array([0.05, 0.8]), 0.9)
    assert 0.0 < faint < clear < 1.0
    assert calibrated(np.array([0.8]), 0.4)[0] < clear
    assert calibrated(np.array([0.8]), 1.0)[0] <= 1.0
