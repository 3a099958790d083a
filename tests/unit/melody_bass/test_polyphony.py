"""Whether a stem sounds several pitches at once."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.melody_bass.pitch import PitchTrack
from tasks.melody_bass.polyphony import polyphonic_share

TUNE = [60, 62, 64, 65, 67, 65]


def share_of(signal):
    pitches = np.repeat(np.array(TUNE, float), 25)
    return polyphonic_share(signal.astype(np.float32), PitchTrack(pitches, np.ones(len(pitches))), 40, 88)


def tune(play, shift=0, harmonics=8):
    return play([pitch + shift for pitch in TUNE], gap=0.0, rate=16000, harmonics=harmonics)


@pytest.mark.parametrize("harmonics", [1, 8])
def test_one_voice_is_not_polyphonic(play, harmonics):
    assert share_of(tune(play, harmonics=harmonics)) < 0.1


@pytest.mark.parametrize("interval", [-8, -5, 3, 4, 5, 7, 9])
def test_a_second_voice_is_heard(play, interval):
    assert share_of(tune(play) + 0.7 * tune(play, interval)) > 0.5


def test_an_octave_cannot_be_told_from_harmonics(play):
    assert share_of(tune(play) + 0.7 * tune(play, 12)) < 0.5


def test_faint_leakage_is_no_second_voice(play):
    assert share_of(tune(play) + 0.03 * tune(play, 7)) < 0.1


def test_noise_is_no_second_voice(play):
    rng = np.random.default_rng(1)
    signal = tune(play)
    assert share_of(signal + 0.01 * rng.standard_normal(len(signal))) < 0.2


def test_nothing_voiced_is_not_polyphonic():
    assert polyphonic_share(np.zeros(16000, np.float32), PitchTrack(np.full(60, np.nan), np.zeros(60)), 40, 88) == 0.0
