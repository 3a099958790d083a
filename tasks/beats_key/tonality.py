"""In which key a stretch of music is: what its chords, its harmony and the key network say, weighed by a network learnt on annotated songs.

A key must be able to explain the chords that were heard: how often each kind of chord on each degree is played in major and in minor was
counted on annotated songs. Keys that share most of their chords are told apart by where the harmony rests: the tonic's own share, the first
and the last chord, and dominants that resolve.

Conventions as in `tasks.beats_key.key`: keys are numbered by tonic (C = 0) for major, and 12 + tonic for minor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.beats_key.evidence import KINDS, Harmony, HeardChords
from tasks.beats_key.learnt import chords_in_key, networks

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KEYS: Final = np.arange(24)
_TONICS: Final = KEYS % 12
_IS_MINOR: Final = KEYS >= 12
_FLOOR: Final = 1e-4
#: Krumhansl and Kessler (1982): how well each degree fits in major and in minor.
_PROFILES: Final = np.array(
    [
        [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
        [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
    ]
)


@dataclass(frozen=True)
class Tonality:
    """What tells the key of any stretch of a song."""

    chords: HeardChords
    harmony: Harmony

    def probabilities(self, network: Floats, start: float, end: float) -> Floats:
        """(24,) the probability of each key from `start` to `end` (s). network: (24,) what the key network makes of it."""
        scores = networks()["key"].scores(self.features(network, start, end))
        logs = (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).mean(axis=0)
        odds = np.exp(logs - logs.max())
        found: Floats = odds / odds.sum()
        return found

    def chord_share(self, duration: float) -> float | None:
        """The share of a song of so many seconds in which a chord was heard; None where nobody has listened for chords."""
        lasts = self.chords.ends - self.chords.starts
        return float(lasts[self.chords.roots >= 0].sum()) / duration if len(lasts) else None

    def features(self, network: Floats, start: float, end: float) -> Floats:
        """(24, n) what speaks for each key."""
        heard = np.log(np.clip(network, _FLOOR, 1.0))
        chroma = self.harmony.total(self.harmony.chroma_sums, np.array([start]), np.array([end]))[0]
        columns = [heard, _profile_fit(chroma), *_chord_columns(self.chords, start, end), _IS_MINOR.astype(np.float64)]
        return np.stack(columns, axis=1)


def degrees(roots: Ints) -> Ints:
    """(24, chords) the degree (semitones above the tonic) of each root in each key."""
    found: Ints = (roots[None] - _TONICS[:, None]) % 12
    return found


def _chord_columns(chords: HeardChords, start: float, end: float) -> list[Floats]:
    """How well each key explains the chords, the share of its tonic chord, whether it is first and last, resolutions to it, amount."""
    inside = (chords.ends > start) & (chords.starts < end) & (chords.roots >= 0)
    if not inside.any():
        return [np.zeros(24)] * 6
    roots, kinds = chords.roots[inside], chords.kinds[inside]
    lasts = np.minimum(chords.ends[inside], end) - np.maximum(chords.starts[inside], start)
    share = lasts / lasts.sum()
    degree = degrees(roots)
    explained = (np.log(chords_in_key())[_IS_MINOR.astype(int)[:, None], degree, kinds[None]] * share).sum(axis=1)
    minor_chord = kinds == KINDS.index("min")
    is_tonic = (degree == 0) & (minor_chord[None] == _IS_MINOR[:, None])
    dominant = (degree[:, :-1] == 7) & ~minor_chord[None, :-1] & is_tonic[:, 1:]
    resolved = dominant.sum(axis=1) / max(1, len(roots) - 1)
    amount = np.log(len(roots)) * (explained - explained.max())
    return [explained, (is_tonic * share).sum(axis=1), is_tonic[:, 0].astype(float), is_tonic[:, -1].astype(float), resolved, amount]


def _profile_fit(chroma: Floats) -> Floats:
    """(24,) correlation of a chroma (12,) with the profile of each key; 0 in silence."""
    if chroma.std() < 1e-12:
        return np.zeros(24)
    rotated = np.stack([np.roll(_PROFILES[int(minor)], tonic) for tonic, minor in zip(_TONICS, _IS_MINOR, strict=True)])
    centred, wave = rotated - rotated.mean(axis=1, keepdims=True), chroma - chroma.mean()
    found: Floats = centred @ wave / (np.linalg.norm(centred, axis=1) * np.linalg.norm(wave))
    return found
