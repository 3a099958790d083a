"""Bars from accents, the fallback's downbeats."""

from __future__ import annotations

import numpy as np

from tasks.beats_key.accents import bar_positions


def test_the_strongest_beats_are_the_downbeats():
    rng = np.random.default_rng(0)
    accents = np.tile([0.3, 0.4, 1.0, 0.2], 10) + 0.05 * rng.random(40)
    positions, length, confidence = bar_positions(accents)
    assert length == 4
    assert positions[:4].tolist() == [3, 4, 1, 2]
    assert confidence > 0.3


def test_a_waltz_is_in_three():
    positions, length, _ = bar_positions(np.tile([1.0, 0.2, 0.2], 12))
    assert length == 3
    assert positions[:4].tolist() == [1, 2, 3, 1]


def test_without_accents_bars_of_four_are_a_guess():
    for accents in (np.ones(20), np.array([1.0, 0.5]), np.zeros(0)):
        positions, length, confidence = bar_positions(accents)
        assert (len(positions), length, confidence) == (len(accents), 4, 0.0)
