"""Basic Pitch on tones of known pitch."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.common import models
from tasks.melody_bass import basic_pitch_engine as engine


@pytest.fixture
def folder():
    if models.find(engine.MODEL) is None:
        pytest.skip("the package basic-pitch is not installed")
    return models.obtain(engine.MODEL)


def loudest(posterior, times, at_sec, count):
    frame = int(np.searchsorted(times, at_sec))
    return sorted(int(column) + engine.LOWEST_MIDI for column in np.argsort(posterior[frame])[-count:])


def test_two_pitches_at_once_are_heard(play, folder):
    signal = play([60, 62], note_sec=1.0, rate=22050) + play([67, 71], note_sec=1.0, rate=22050)
    heard = engine.hear(signal.astype(np.float32), folder)
    assert loudest(heard.note, heard.times, 0.5, 2) == [60, 67]
    assert loudest(heard.note, heard.times, 1.5, 2) == [62, 71]
    assert heard.note.shape[1] == heard.onset.shape[1] == 88
    assert heard.contour.shape == (len(heard.times), 264)


def test_times_stay_true_over_many_windows(play, folder):
    """The package's count of 86 frames a second would end 80 ms early here."""
    heard = engine.hear(play([60] * 12, note_sec=1.0, rate=22050).astype(np.float32), folder)
    column = heard.onset[:, 60 - engine.LOWEST_MIDI]
    onsets = []
    for second in range(12):
        near = np.abs(heard.times - second) < 0.2
        onsets.append(float(heard.times[near][column[near].argmax()]))
    np.testing.assert_allclose(onsets, np.arange(12), atol=0.04)
    assert 11.97 < heard.times[-1] < 12.0


def test_a_song_out_of_tune_is_heard_in_tune(play, folder):
    rate = engine.sample_rate(0.5)
    heard = engine.hear(play([60.5, 64.5], note_sec=1.0, rate=rate).astype(np.float32), folder, tuning=0.5)
    assert loudest(heard.note, heard.times, 0.5, 1) == [60]
    assert loudest(heard.note, heard.times, 1.5, 1) == [64]
    assert 1.97 < heard.times[-1] < 2.0


@pytest.mark.parametrize("samples", [0, 1, 5000])
def test_the_shortest_signals_have_posteriors(folder, samples):
    heard = engine.hear(np.zeros(samples, np.float32), folder)
    assert len(heard.note) == len(heard.times) >= 1
    assert heard.note.max() < 0.3
