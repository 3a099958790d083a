"""The tuning of a song, once for all steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.common.audio import Samples
from tasks.common.tuning import SAMPLE_RATE, estimate_tuning, in_tune, stretch, tuning_of


def chords(cents: float, seconds: float = 6.0, overtones: int = 6) -> Samples:
    """Triads with overtones, so many cents above A440."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros(len(time))
    for start, notes in enumerate([(60, 64, 67), (57, 60, 64), (53, 57, 60), (55, 59, 62)]):
        now = (time >= start * seconds / 4) & (time < (start + 1) * seconds / 4)
        for midi in notes:
            hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
            sound[now] += sum(np.sin(2 * np.pi * hz * k * time[now]) / k for k in range(1, overtones + 1))
    return (0.05 * sound).astype(np.float32)


def drums(seconds: float = 6.0) -> Samples:
    """Noise that dies away twice a second."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(2).standard_normal(len(time))
    return (0.3 * noise * np.exp(-20 * (time % 0.5))).astype(np.float32)


@pytest.mark.parametrize("cents", [-49, -45, -32, -20, -10, 0, 10, 17, 30, 45, 49])
@pytest.mark.parametrize("with_drums", [False, True])
def test_a_tuning_is_heard_over_the_whole_semitone(cents: int, with_drums: bool) -> None:
    sound = chords(cents) + (drums() if with_drums else 0.0)
    assert 100 * estimate_tuning(sound.astype(np.float32)) == pytest.approx(cents, abs=3)


@pytest.mark.parametrize("cents", [-50, 50])
def test_a_quarter_tone_off_is_either_way(cents: int) -> None:
    assert abs(estimate_tuning(chords(cents))) == pytest.approx(0.5, abs=0.03)


def test_a_loud_part_does_not_outweigh_the_rest() -> None:
    song = np.concatenate([20 * chords(40, 20.0), chords(-10, 100.0)])
    assert 100 * estimate_tuning(song) == pytest.approx(-10, abs=3)


@pytest.mark.parametrize("samples", [0, 100, 30000])
def test_silence_is_in_tune(samples: int) -> None:
    assert estimate_tuning(np.zeros(samples, np.float32)) == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_tuning(seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(10 * SAMPLE_RATE).astype(np.float32)
    assert estimate_tuning(noise) == 0.0


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    soundfile.write(path, chords(30), SAMPLE_RATE, subtype="FLOAT")
    assert tuning_of(path) == pytest.approx(0.3, abs=0.03)
    soundfile.write(path, chords(-20, 7.0), SAMPLE_RATE, subtype="FLOAT")
    assert tuning_of(path) == pytest.approx(-0.2, abs=0.03)


@pytest.mark.parametrize("cents", [-40, 25])
def test_played_in_tune_a_song_is_at_a440(cents: int) -> None:
    sound = chords(cents)
    played = in_tune(sound, cents / 100)
    assert len(played) == pytest.approx(len(sound) * stretch(cents / 100), abs=1)
    assert 100 * estimate_tuning(played) == pytest.approx(0, abs=3)
    assert in_tune(sound, 0.0) is sound
