"""Key probabilities of a song, whatever it is tuned to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.beats_key import key_network

E_FLAT = 3


def cadences(cents: float) -> np.ndarray:
    """Eight seconds of Eb, Ab, Bb7 and Eb, so many cents above A440."""
    time = np.arange(2 * 44100) / 44100
    triads = [(51, 63, 67, 70), (44, 63, 68, 72), (46, 62, 65, 68), (51, 63, 67, 70)]
    notes = [[440 * 2 ** ((midi - 69 + cents / 100) / 12) for midi in triad] for triad in triads]
    return np.concatenate([sum(np.sin(2 * np.pi * hz * k * time) / k**2 for hz in chord for k in (1, 2, 3)) for chord in notes]) * 0.1


@pytest.mark.parametrize("cents", [-45, 0, 40])
def test_a_song_out_of_tune_has_the_same_key(cents: int, tmp_path: Path) -> None:
    sound = cadences(cents)
    soundfile.write(tmp_path / "song.wav", np.stack([sound, sound], axis=1), 44100, subtype="FLOAT")
    assert key_network.key_posteriors(tmp_path / "song.wav").probabilities[0].argmax() == E_FLAT
