"""Where a voice is found, and where none is."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.asr import voice_activity
from tasks.asr.voice_activity import HOP_SEC, frame_levels, speech_probabilities, voice_in_mix, voice_in_stem


def frames(*parts: tuple[float, float]) -> np.ndarray:
    """Frame values from (seconds, value) parts."""
    return np.concatenate([np.full(round(seconds / HOP_SEC), value, np.float32) for seconds, value in parts])


def test_level_of_a_full_scale_sine_is_minus_three_decibels() -> None:
    sine = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000).astype(np.float32)
    assert frame_levels(sine) == pytest.approx(-3.01, abs=0.05)


def test_levels_cover_every_sample_and_silence_is_finite() -> None:
    levels = frame_levels(np.zeros(16001, np.float32))
    assert len(levels) == 51
    assert np.isfinite(levels).all()


def test_a_loud_stem_is_a_voice_where_it_sounds_and_nowhere_else() -> None:
    vocals = frames((5, -80), (10, -20), (5, -80), (5, -22), (5, -80))
    mix = frames((30, -15))
    spans = voice_in_stem(vocals, mix, frames((30, 0.0)), 30.0)
    assert [(span.start, span.end) for span in spans] == [pytest.approx((4.9, 15.1)), pytest.approx((19.9, 25.1))]


def test_short_gaps_between_words_do_not_split_a_span() -> None:
    vocals = frames((2, -20), (0.3, -80), (2, -20), (1, -80), (2, -20))
    spans = voice_in_stem(vocals, frames((7.3, -15)), frames((7.3, 0.0)), 7.3)
    assert len(spans) == 2


def test_a_click_is_no_voice() -> None:
    vocals = frames((5, -20), (3, -80), (0.06, -20), (3, -80))
    spans = voice_in_stem(vocals, frames((11.06, -15)), frames((11.06, 0.0)), 11.06)
    assert [span.end for span in spans] == [pytest.approx(5.1)]


def test_what_separation_leaves_of_an_instrumental_is_no_voice() -> None:
    leakage = frames((30, -45))
    assert voice_in_stem(leakage, frames((30, -15)), frames((30, 0.9)), 30.0) == ()


@pytest.mark.parametrize(("speech", "found"), [(0.9, 1), (0.1, 0)])
def test_a_faint_stem_is_a_voice_only_if_it_sounds_like_speech(speech: float, found: int) -> None:
    faint = frames((10, -80), (10, -30), (10, -80))
    assert len(voice_in_stem(faint, frames((30, -15)), frames((10, 0.0), (10, speech), (10, 0.0)), 30.0)) == found


def test_spans_stay_inside_the_song() -> None:
    (span,) = voice_in_stem(frames((10, -20)), frames((10, -15)), frames((10, 1.0)), 9.99)
    assert (span.start, span.end) == (0.0, 9.99)


def test_no_frames_give_no_spans() -> None:
    empty = np.zeros(0, np.float32)
    assert voice_in_stem(empty, empty, empty, 0.0) == ()
    assert voice_in_mix(empty, 0.0) == ()
    assert len(speech_probabilities(empty)) == 0


def test_in_a_mix_speech_is_voice_and_a_single_likely_frame_is_not() -> None:
    speech = frames((10, 0.01), (10, 0.5), (10, 0.01), (0.04, 0.9), (10, 0.01))
    (span,) = voice_in_mix(speech, 40.04)
    assert span.start < 10.0 < 20.0 < span.end


def test_silence_and_noise_are_not_taken_for_speech() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32)
    assert speech_probabilities(np.zeros(48000, np.float32)).max() < voice_activity.SPEECH_PROBABILITY
    assert np.mean(speech_probabilities(noise) > voice_activity.SPEECH_PROBABILITY) < voice_activity.SPEECH_SHARE
    assert len(speech_probabilities(noise)) == len(frame_levels(noise))
