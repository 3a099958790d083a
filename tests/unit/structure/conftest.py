"""Songs made of bar features instead of sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tasks.structure.features import BarFeatures

#: Per letter: root of the first chord, timbre seed, level (dB), sung.
_KINDS = {"I": (0, 1, -30.0, 0.0), "V": (2, 2, -22.0, 0.9), "C": (5, 3, -14.0, 0.95), "B": (8, 4, -20.0, 0.8), "S": (10, 5, -15.0, 0.0)}


@pytest.fixture
def song() -> Callable[..., BarFeatures]:
    """song("IVCVC", bars_each=8): a song whose sections have these letters; same letter, same music."""

    def make(form: str, bars_each: int = 8, bar_sec: float = 2.0, vocal_known: bool = True) -> BarFeatures:
        rng = np.random.default_rng(0)
        harmony, timbre, level, vocal = [], [], [], []
        for letter in form:
            root, seed, db, sung = _KINDS[letter]
            sound = np.random.default_rng(seed).normal(size=13) * 4
            for bar in range(bars_each):
                chroma = np.zeros((4, 12))
                for quarter in range(4):
                    base = root + (0, 5, 7, 5)[bar % 4]
                    chroma[quarter, [base % 12, (base + 4) % 12, (base + 7) % 12]] = 1.0
                chroma += 0.05 * rng.random((4, 12))
                harmony.append((chroma / np.linalg.norm(chroma, axis=1, keepdims=True)).ravel())
                timbre.append(sound + 0.3 * rng.normal(size=13))
                level.append([db + 0.3 * rng.normal()])
                vocal.append(sung if vocal_known else np.nan)
        edges = np.arange(len(form) * bars_each + 1) * bar_sec
        return BarFeatures(edges, np.array(harmony), np.array(timbre), np.array(level), np.array(vocal))

    return make
