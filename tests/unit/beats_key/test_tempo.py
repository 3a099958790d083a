"""Tempo from beats."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.tempo import estimate_tempo


def tempo_of(times, height: float = 0.8):
    times = np.asarray(times, dtype=float)
    count = len(times)
    probability = np.full(int(times[-1] * 100) + 100 if count else 100, 0.01)
    probability[np.round(times * 100).astype(int)] = height
    grid = BeatGrid(times, np.arange(count) % 4 + 1, np.full(count, height), np.full(count, 4), 0.9)
    return estimate_tempo(grid, probability, 100)


def test_a_steady_tempo_is_exact_however_coarse_the_beats():
    tempo = tempo_of(np.round(0.5 + np.arange(200) * 60 / 123.4, 2))
    assert tempo.bpm_global == pytest.approx(123.4, rel=1e-4)
    assert all(point.bpm == pytest.approx(123.4, rel=0.01) for point in tempo.curve)


def test_the_curve_follows_an_accelerando():
    times = np.cumsum(60 / np.linspace(90, 130, 160))
    tempo = tempo_of(times)
    assert tempo.curve[0].bpm < 93
    assert tempo.curve[-1].bpm > 127
    bpms = [point.bpm for point in tempo.curve]
    assert bpms == sorted(bpms)


def test_a_song_in_two_tempi_has_the_one_it_holds_longer():
    times = np.cumsum(np.concatenate([np.full(100, 0.6), np.full(60, 0.4)]))
    assert tempo_of(times).bpm_global == pytest.approx(100, rel=0.005)


def test_a_pause_changes_nothing():
    times = np.concatenate([0.5 * np.arange(40), 33.2 + 0.5 * np.arange(40)])
    assert tempo_of(times).bpm_global == pytest.approx(120, rel=0.003)


def test_candidates_hold_the_octaves_and_their_weights_sum_to_at_most_one():
    tempo = tempo_of(0.5 * np.arange(1, 80))
    bpms = [round(candidate.bpm) for candidate in tempo.candidates]
    assert bpms[0] == 120
    assert {60, 240} <= set(bpms)
    assert sum(candidate.weight for candidate in tempo.candidates) <= 1.0


def test_confidence_tells_a_clear_pulse_from_a_faint_one():
    times = 0.5 * np.arange(1, 80)
    assert tempo_of(times, 0.9).confidence > tempo_of(times, 0.1).confidence > 0


def test_a_tempo_that_is_doubtful_by_an_octave_keeps_both_and_says_so():
    times = 0.5 * np.arange(1, 80)
    grid = BeatGrid(times, np.arange(79) % 4 + 1, np.full(79, 0.9), np.full(79, 4), 0.9)
    pulses = [(120.1, 0.55), (60.0, 0.25), (60.1, 0.15), (119.9, 0.05)]  # two of each octave, in different phases
    tempo = estimate_tempo(grid, np.full(4100, 0.5), 100, pulses)
    assert [(round(one.bpm), round(one.weight, 2)) for one in tempo.candidates] == [(120, 0.6), (60, 0.4)]
    assert tempo.confidence == pytest.approx(0.6)
    slower_first = estimate_tempo(grid, np.full(4100, 0.5), 100, [(120.1, 0.3), (60.0, 0.7)])
    assert round(slower_first.candidates[0].bpm) == round(slower_first.bpm_global or 0) == 120  # the map's own comes first


def test_a_tempo_that_wanders_is_less_sure_than_one_that_is_held():
    steady = tempo_of(0.5 * np.arange(1, 80))
    rubato = tempo_of(np.cumsum(0.5 * (1 + 0.3 * np.sin(np.arange(79) / 8))))
    assert rubato.confidence < 0.5 * steady.confidence


def test_too_few_beats_have_no_tempo():
    for count in range(4):
        tempo = tempo_of(0.5 * np.arange(count))
        assert tempo.bpm_global is None
        assert tempo.confidence == 0
        assert tempo.curve == ()


def test_agrees_with_the_golden_tempi(golden):
    for case in golden("tempo"):
        assert tempo_of(case["times"]).model_dump(mode="json") == case["expected"], case["name"]
