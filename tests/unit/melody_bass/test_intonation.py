"""Tuning, and rounding to the semitone that was meant."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.melody_bass.intonation import semitones, tuning_offset


@pytest.mark.parametrize("offset", [-0.4, -0.1, 0.0, 0.25, 0.45])
def test_the_tuning_of_notes_that_agree_is_found(offset):
    pitches = np.array([60, 62, 64, 65, 67, 69.0]) + offset
    assert tuning_offset(pitches, np.ones(6)) == pytest.approx(offset, abs=1e-9)


def test_a_singer_who_slides_through_everything_has_no_tuning():
    assert tuning_offset(np.linspace(50, 70, 2001), np.ones(2001)) == 0.0


def test_frames_without_pitch_or_weight_do_not_count():
    assert tuning_offset(np.array([60.2, np.nan, 61.5]), np.array([1.0, 1.0, 0.0])) == pytest.approx(0.2)
    assert tuning_offset(np.array([]), np.array([])) == 0.0


def test_a_quarter_tone_goes_to_the_pitch_class_the_song_uses():
    scale = [60, 62, 64, 65, 67, 69, 71, 72] * 4
    found = semitones(np.array([*scale, 62.55]), np.full(len(scale) + 1, 0.5), 0.0)
    assert list(found) == [*scale, 62]


def test_a_chromatic_note_in_tune_stays_where_it_is():
    scale = [60, 62, 64, 65, 67, 69, 71, 72] * 4
    assert semitones(np.array([*scale, 63.0]), np.full(len(scale) + 1, 0.5), 0.0)[-1] == 63


def test_a_chromatic_scale_is_plainly_rounded():
    pitches = np.arange(50, 80) + 0.3
    np.testing.assert_array_equal(semitones(pitches, np.full(30, 0.5), 0.0), np.arange(50, 80))


def test_no_notes_have_no_semitones():
    assert len(semitones(np.array([]), np.array([]), 0.0)) == 0


def test_a_line_is_named_like_the_band_it_plays_with():
    pitches = np.array([60.48, 64.46, 67.5])
    assert tuning_offset(pitches, np.ones(3), 0.4) == pytest.approx(0.48, abs=1e-3)
    assert tuning_offset(pitches, np.ones(3), -0.45) == pytest.approx(-0.52, abs=1e-3)
    assert tuning_offset(np.linspace(50, 70, 2001), np.ones(2001), 0.3) == 0.3
    assert tuning_offset(np.array([]), np.array([]), 0.3) == 0.3
