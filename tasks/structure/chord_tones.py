"""The tones of recognised chords as a chroma."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.results import Chord

Floats = npt.NDArray[np.float64]

_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
#: Semitones above the root of Harte's shorthands (Harte et al., ISMIR 2005, table 1); others count as their triad.
_TONES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "minmaj7": (0, 3, 7, 11),
    "hdim7": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "maj6": (0, 4, 7, 9),
    "min6": (0, 3, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "min9": (0, 2, 3, 7, 10),
}


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
        base = _NATURAL[root[0]] + root.count("#") - root.count("b")
        shorthand = (quality or "maj").split("(")[0]
        triad = "min" if shorthand.startswith("min") else "maj"
        chroma[[(base + tone) % 12 for tone in _TONES.get(shorthand, _TONES[triad])]] = 1.0
        chroma /= np.linalg.norm(chroma)
    return chroma
