"""A recording that is one line alone, and those that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.melody_bass.solo import Tracker, excerpts, is_solo
from tasks.melody_bass.track_notes import MELODY, _swift

RATE = 44100
SCALE = (60, 64, 67, 72, 71, 67, 65, 62)


def line(pitches: tuple[int, ...], seconds: float, each: float = 0.4) -> np.ndarray:
    """(samples,) notes with six harmonics that die away, one after the other."""
    time = np.arange(round(each * RATE)) / RATE
    envelope = np.minimum(1, time / 0.01) * np.exp(-2 * time) * np.minimum(1, (each - time) / 0.02)
    notes = []
    while len(notes) * each < seconds:
        hz = 440 * 2 ** ((pitches[len(notes) % len(pitches)] - 69) / 12)
        notes.append(0.2 * envelope * sum(np.sin(2 * np.pi * hz * h * time) / h for h in range(1, 7)))
    return np.concatenate(notes).astype(np.float32)


@pytest.fixture
def tracker() -> Tracker:
    return _swift(MELODY)


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, np.stack([samples, samples], axis=1), RATE, subtype="FLOAT")
    return path


def alone(path: Path, tracker: Tracker) -> bool:
    return is_solo(path, tracker, MELODY.min_midi, MELODY.max_midi)


@pytest.mark.parametrize("seconds", [5, 60])
def test_a_melody_by_itself_is_solo(tmp_path: Path, tracker: Tracker, seconds: int) -> None:
    assert alone(write(tmp_path / "solo.wav", line(SCALE, seconds)), tracker)


def test_a_melody_with_pauses_is_solo(tmp_path: Path, tracker: Tracker) -> None:
    phrase = line(SCALE, 3.2)
    samples = np.concatenate([np.concatenate([phrase, np.zeros(3 * RATE, np.float32)]) for _ in range(6)])
    assert alone(write(tmp_path / "solo.wav", samples), tracker)


def test_two_lines_at_once_are_not(tmp_path: Path, tracker: Tracker) -> None:
    both = line(SCALE, 30) + line(tuple(pitch - 9 for pitch in SCALE[::-1]), 30, each=0.8)[: len(line(SCALE, 30))]
    assert not alone(write(tmp_path / "duo.wav", both), tracker)


def test_noise_is_not(tmp_path: Path, tracker: Tracker) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 30 * RATE).astype(np.float32)
    assert not alone(write(tmp_path / "noise.wav", noise), tracker)


@pytest.mark.parametrize("seconds", [0, 1, 40])
def test_silence_is_not(tmp_path: Path, tracker: Tracker, seconds: int) -> None:
    assert not alone(write(tmp_path / "silence.wav", np.zeros(seconds * RATE, np.float32)), tracker)


def test_excerpts_lie_inside_the_file_and_a_short_one_is_heard_whole(tmp_path: Path) -> None:
    long = write(tmp_path / "long.wav", np.zeros(100 * RATE, np.float32))
    assert [len(part) for part in excerpts(long)] == [6 * RATE] * 5
    short = write(tmp_path / "short.wav", np.zeros(7 * RATE, np.float32))
    assert [len(part) for part in excerpts(short)] == [7 * RATE]
