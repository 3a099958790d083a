"""From a score to the probability of being right: logistic curves fitted on annotated songs (Platt, 1999)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def logistic(score: npt.ArrayLike) -> Floats:
    """1 / (1 + exp(-score))."""
    values: Floats = 1.0 / (1.0 + np.exp(-np.clip(np.asarray(score, dtype=np.float64), -60.0, 60.0)))
    return values


def logit(probability: npt.ArrayLike, least: float = 0.01) -> Floats:
    """The inverse of `logistic`, for probabilities between `least` and 1 - `least`."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), least, 1.0 - least)
    values: Floats = np.log(clipped / (1.0 - clipped))
    return values
