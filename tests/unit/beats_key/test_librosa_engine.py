"""The fallback's downbeats from accents, and its keys from key profiles."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.beats_key.librosa_engine import MAJOR_PROFILE, MINOR_PROFILE, bar_positions, profile_posteriors


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


@pytest.mark.parametrize("tonic", range(12))
def test_profiles_are_recognised_in_every_key(tonic):
    assert int(profile_posteriors(np.roll(MAJOR_PROFILE, tonic)).argmax()) == tonic
    assert int(profile_posteriors(np.roll(MINOR_PROFILE, tonic)).argmax()) == 12 + tonic


def test_a_flat_or_silent_chroma_favours_no_key():
    for chroma in (np.zeros(12), np.full(12, 1 / 12)):
        np.testing.assert_allclose(profile_posteriors(chroma), 1 / 24)
