"""From sung pitch to the semitone that was meant: the song's tuning and the pitch classes it lives on.

A singer is seldom in the middle of a semitone, and rounding alone decides every second quarter tone wrongly. A song uses some pitch classes
far more than others (Ryynänen & Klapuri 2008 use a key model for the same end), so each note goes to the semitone that is most likely given
both its pitch and how much the song's other notes use that pitch class. Notes that are in tune stay where they are, whatever the scale.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.melody_bass.pitch import FloatArray

#: Spread of a note's pitch around the semitone meant, in semitones, and the share a pitch class has at least.
_SPREAD: Final = 0.4
_LEAST_SHARE: Final = 0.02
#: Longer notes count as this long (seconds) in the pitch classes: one held note is not a scale.
_LONGEST_SEC: Final = 1.0
_ROUNDS: Final = 3


def tuning_offset(pitches: FloatArray, weights: FloatArray, tuning: float = 0.0) -> float:
    """How far pitches lie from A440 equal temperament, in semitones, at most half a semitone from the song's `tuning`: a line's notes are
    named like the chords they sound with.

    The circular mean of the pitches' fractional parts, since a line may lie beside its band. Where they scatter too much to say (mean
    resultant length below 0.2, as for a singer who slides through everything), the song's.
    """
    valid = np.isfinite(pitches) & (weights > 0)
    if not valid.any():
        return tuning
    phase = np.exp(2j * np.pi * pitches[valid])
    mean = complex(np.sum(phase * weights[valid]) / np.sum(weights[valid]))
    if abs(mean) < 0.2:
        return tuning
    offset = float(np.angle(mean) / (2 * np.pi))
    return offset + round(tuning - offset)


def semitones(pitches: FloatArray, durations: FloatArray, tuning: float) -> npt.NDArray[np.int64]:
    """The MIDI note numbers that notes were meant to have.

    pitches: (notes,) MIDI pitch as it sounds. durations: (notes,) seconds. tuning: semitones, as of `tuning_offset`.
    The pitch classes' shares and the notes' semitones are found in turns (expectation maximisation), from equal shares.
    """
    tuned = np.asarray(pitches, np.float64) - tuning
    if not len(tuned):
        return np.zeros(0, np.int64)
    candidates = np.floor(tuned).astype(np.int64)[:, None] + np.array([-1, 0, 1, 2])
    distance = (tuned[:, None] - candidates) ** 2 / (2 * _SPREAD**2)
    weight = np.minimum(durations, _LONGEST_SEC)
    shares = np.full(12, 1 / 12)
    cost = distance
    for _ in range(_ROUNDS):
        likelihood = np.exp(distance.min(axis=1, keepdims=True) - distance) * shares[candidates % 12]
        likelihood /= likelihood.sum(axis=1, keepdims=True)
        used = np.bincount((candidates % 12).ravel(), (likelihood * weight[:, None]).ravel(), minlength=12)
        shares = np.maximum(used / max(float(used.sum()), 1e-9), _LEAST_SHARE)
        shares /= shares.sum()
        cost = distance - np.log(shares[candidates % 12])
    chosen: npt.NDArray[np.int64] = candidates[np.arange(len(tuned)), cost.argmin(axis=1)]
    return chosen
