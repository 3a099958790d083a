"""A synthetic model that hears chords."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.chords.posteriors import ChordPosteriors
from tasks.common.audio import WavWriter

LABELS = ("N", "C:maj", "A:min", "F:maj", "A#:maj", "C:maj/3")
HOP = 0.05


@pytest.fixture
def posteriors_of() -> Callable[..., ChordPosteriors]:
    """Posteriors that hear each (label, seconds) in turn with the given certainty; the rest is shared evenly by the other labels."""

    def make(heard: Sequence[tuple[str, float]], certainty: float = 0.8, cost: float = 6.0) -> ChordPosteriors:
        rows = []
        for label, seconds in heard:
            row = np.full(len(LABELS), (1 - certainty) / (len(LABELS) - 1))
            row[LABELS.index(label)] = certainty
            rows += [row] * round(seconds / HOP)
        return ChordPosteriors(LABELS, np.log(np.array(rows)).astype(np.float32), HOP, cost)

    return make


@pytest.fixture
def triads(tmp_path: Path) -> Path:
    """A WAV file: two seconds each of C major, A minor and F major, with overtones, then two seconds of silence."""
    time = np.arange(2 * 44100) / 44100
    parts = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * n * time) / n**2 for midi in chord for n in (1, 2, 3))
        for chord in ((48, 60, 64, 67), (45, 60, 64, 69), (53, 60, 65, 69))
    ]
    sound: Any = 0.1 * np.concatenate([*parts, np.zeros(2 * 44100)])
    path = tmp_path / "triads.wav"
    with WavWriter(path) as out:
        out.write(np.stack([sound, sound]).astype(np.float32))
    return path
