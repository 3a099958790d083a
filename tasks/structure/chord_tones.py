"""The tones of recognised chords as a chroma."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.results import Chord
from tasks.common.harmony.harte import TONES
from tasks.common.harmony.spelling import pitch_class

Floats = npt.NDArray[np.float64]


def chord_chroma(chords: Sequence[Chord], times: Floats) -> Floats:
    """(times, 12) unit chroma of the chord that sounds at each time (s); zero where there is none."""
    starts = np.array([chord.start for chord in chords])
    tones = np.array([_chroma(chord.root, chord.quality) for chord in chords]).reshape(-1, 12)
    if not len(starts):
        return np.zeros((len(times), 12))
    index = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(starts) - 1)
    return np.asarray(tones[index])


def _chroma(root: str | None, quality: str | None) -> Floats:
    chroma = np.zeros(12)
    if root:
        base = pitch_class(root)
        shorthand = (quality or "maj").split("(")[0]
        triad = "min" if shorthand.startswith("min") else "maj"
        chroma[[(base + tone) % 12 for tone in TONES.get(shorthand, TONES[triad])]] = 1.0
        chroma /= np.linalg.norm(chroma)
    return chroma
