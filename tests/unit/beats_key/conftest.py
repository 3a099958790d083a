"""Synthetic activations, and golden files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Activations = npt.NDArray[np.float64]
MakeActivations = Callable[..., Activations]


@pytest.fixture
def make_activations() -> MakeActivations:
    """Activations (frames, 2) at 100 frames a second with a bump at each beat: of 0.7 for a beat, of 0.6 for a downbeat."""

    def make(times: npt.ArrayLike, positions: npt.ArrayLike, duration: float, height: float = 0.7) -> Activations:
        frames = np.arange(round(duration * 100)) / 100
        activations = np.full((len(frames), 2), 0.002)
        for time, position in zip(np.asarray(times), np.asarray(positions), strict=True):
            bump = np.exp(-0.5 * ((frames - time) / 0.015) ** 2)
            down = position == 1
            activations[:, 1] += bump * height * (0.85 if down else 0.03)
            activations[:, 0] += bump * height * (0.1 if down else 0.9)
        return np.clip(activations, 0, 0.95)

    return make


@pytest.fixture
def golden() -> Callable[[str], Any]:
    def read(name: str) -> Any:
        return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())

    return read
