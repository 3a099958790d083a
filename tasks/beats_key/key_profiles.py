"""Key from a chroma vector by correlation with key profiles (Krumhansl and Schmuckler's algorithm). Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Albrecht and Shanahan (2013), from scores. On 8 short pieces they name the key that madmom's network hears in 6, Krumhansl and Kessler's
#: profiles in 5; on 5 songs with annotated keys both are right in 4.
MAJOR_PROFILE = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
MINOR_PROFILE = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
#: Turns correlations into probabilities: a lead of 0.1 is odds of 4 to 1.
_SHARPNESS = 14.0
#: Correlation of the best key below which a window says nothing. Measured: noise, clicks and drum stems 0.05-0.45, songs 0.55-0.93.
_MIN_CORRELATION = 0.48


def profile_posteriors(chroma: Floats) -> Floats:
    """Probabilities (24,) of the keys for a chroma vector (12,); all the same where nothing tonal is heard."""
    correlations = profile_correlations(chroma)
    if float(correlations.max()) < _MIN_CORRELATION:
        return np.full(24, 1 / 24)
    odds = np.exp(_SHARPNESS * (correlations - correlations.max()))
    probabilities: Floats = odds / odds.sum()
    return probabilities


def profile_correlations(chroma: Floats) -> Floats:
    """Pearson correlation (24,) of a chroma vector with every key's profile; zeros for a flat one."""
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)])
    centred = chroma - chroma.mean()
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred) * np.linalg.norm(profiles, axis=1)
    if np.linalg.norm(centred) < 1e-9:
        return np.zeros(24)
    correlations: Floats = profiles @ centred / norm
    return correlations
