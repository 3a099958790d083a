"""Key probabilities over time: madmom's convolutional network on overlapping windows of the song."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tasks.beats_key.key import KeyPosteriors, window_starts
from tasks.common import models
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.networks.madmom_support import quieten
from tasks.common.progress import Progress, silent
from tasks.common.resources import threads
from tasks.common.tuning import in_tune, tuning_of

#: madmom's classes run A, Bb, … G#; ours C, C#, … B: major, then minor.
_TO_OURS = np.array([(pitch_class - 9) % 12 + 12 * minor for minor in (0, 1) for pitch_class in range(12)])


def key_posteriors(path: Path, progress: Progress = silent) -> KeyPosteriors:
    """Probabilities of the 24 keys in windows over a 44.1 kHz WAV file, heard at A440, after Korzeniowski and Widmer (ISMIR 2018).

    Raises ModelUnavailable.
    """
    network = key_network()
    tuning = tuning_of(path)
    duration = soundfile.info(path).frames / SAMPLE_RATE
    starts, length = window_starts(duration)
    rows = []
    for done, start in enumerate(starts):
        progress(done / len(starts), "key")
        samples = read_stereo(path, start=round(start * SAMPLE_RATE), frames=round(length * SAMPLE_RATE)).mean(axis=0)
        rows.append(_probabilities(network, in_tune(samples, tuning)))
    progress(1.0)
    return KeyPosteriors(np.array(starts), length, np.array(rows))


def key_network() -> Any:
    """madmom's CNNKeyRecognitionProcessor, loaded once per process."""
    models.obtain("madmom")

    def load() -> Any:
        from madmom.features.key import CNNKeyRecognitionProcessor

        network = CNNKeyRecognitionProcessor()
        quieten(network)
        return network

    return models.load_once(("madmom", "key", threads()), load)


def _probabilities(network: Any, samples: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    from madmom.audio.signal import Signal

    # The network pools over time; below two seconds there is too little to pool.
    padded = np.pad(samples, (0, max(0, 2 * SAMPLE_RATE - len(samples))))
    found = np.asarray(network(Signal(padded, sample_rate=SAMPLE_RATE, num_channels=1)), dtype=np.float64)
    probabilities: np.ndarray[Any, np.dtype[np.float64]] = found.reshape(-1)[_TO_OURS]
    return probabilities
