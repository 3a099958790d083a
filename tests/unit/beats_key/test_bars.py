"""On which beats bars begin."""

from __future__ import annotations

import numpy as np
import pytest
from songs_of_beats import chord_a_bar, song

from tasks.beats_key import bars
from tasks.beats_key.beat_grid import BeatGrid

LOOP = ("C:maj", "A:min", "F:maj", "G:maj")


def tracked(times: np.ndarray) -> BeatGrid:
    return BeatGrid(times, np.arange(len(times)) % 4 + 1, np.full(len(times), 0.9), np.full(len(times), 4), 0.0)


@pytest.mark.parametrize("length", [3, 4])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_bars_begin_where_chords_change_and_the_networks_agree(length: int, first: int) -> None:
    times = 0.5 + 0.5 * np.arange(60)
    lines = times[first::length]
    found = bars.find_bars(tracked(times), song(times, lines, 31.0, chord_a_bar(lines, LOOP, 31.0)))
    np.testing.assert_array_equal(found.times[found.positions == 1], lines)
    assert set(found.bar_lengths) == {length}
    assert found.meter_confidence > 0.6


def test_networks_that_are_half_a_bar_off_are_outvoted_by_chords_and_drums() -> None:
    times = 0.5 + 0.5 * np.arange(64)
    lines = times[::4]
    heard = song(times, times[2::4], 33.0, chord_a_bar(lines, LOOP, 33.0), kick=times[::2], snare=times[1::2], sure=0.4)
    found = bars.find_bars(tracked(times), heard)
    np.testing.assert_array_equal(found.times[found.positions == 1], lines)


def test_one_bar_may_be_cut_short() -> None:
    times = 0.5 + 0.5 * np.arange(62)
    lines = np.concatenate([times[:33:4], times[34::4]])  # the ninth bar has two beats
    found = bars.find_bars(tracked(times), song(times, lines, 32.0, chord_a_bar(lines, LOOP, 32.0)))
    np.testing.assert_array_equal(found.times[found.positions == 1], lines)


def test_after_a_pause_bars_begin_anew() -> None:
    before, after = 0.5 + 0.5 * np.arange(32), 19.3 + 0.5 * np.arange(34)
    times = np.concatenate([before, after])
    lines = np.concatenate([before[::4], after[2::4]])
    found = bars.find_bars(tracked(times), song(times, lines, 37.0, chord_a_bar(lines, LOOP, 37.0)))
    np.testing.assert_array_equal(found.times[found.positions == 1], lines)


def test_where_nothing_tells_the_bars_they_are_no_more_than_a_guess() -> None:
    times = 0.5 + 0.5 * np.arange(60)
    clear = song(times, times[::4], 31.0, chord_a_bar(times[::4], LOOP, 31.0))
    vague = song(times, times[:0], 31.0)
    assert bars.find_bars(tracked(times), vague).meter_confidence < 0.5 < bars.find_bars(tracked(times), clear).meter_confidence


def test_a_handful_of_beats_is_left_alone() -> None:
    grid = tracked(0.5 * np.arange(1, 6))
    assert bars.find_bars(grid, song(grid.times, grid.times[:1], 4.0)) is grid


def test_the_course_counts_on_through_what_says_nothing() -> None:
    log_odds = np.full(24, -1.0)
    log_odds[[0, 4, 8, 20]] = 4.0
    course = bars.best_course(log_odds, 0.5 * np.arange(24))
    np.testing.assert_array_equal(course.positions, np.arange(24) % 4)
    assert set(course.lengths) == {4}


def test_the_features_of_a_beat_say_where_chords_change() -> None:
    times = 0.5 + 0.5 * np.arange(24)
    evidence = song(times, times[::4], 13.0, chord_a_bar(times[::4], LOOP, 13.0))
    features = bars.beat_features(times, evidence)
    on_change = features[:, 3]
    np.testing.assert_allclose(on_change[4::4], 1.0)
    np.testing.assert_allclose(np.delete(on_change, np.arange(0, 24, 4)), 0.0)
    assert bars.in_context(features).shape == (24, 7 * features.shape[1])
