"""Where the bars begin, from how strongly each beat is accented. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: By how much (standard deviations of the accents) bars of three must stand out more than bars of four to be believed: most songs
#: are in four.
_MARGIN_OF_THREE = 0.25


def bar_positions(accents: npt.NDArray[np.float64]) -> tuple[Ints, int, float]:
    """Position in the bar of each beat, the bars' length in beats (3 or 4), and a confidence in [0, 1] in that length.

    accents: strength (beats,) of low-frequency onsets at the beats. The bar's first beat is where they are strongest on average.
    """
    spread = float(accents.std()) if len(accents) else 0.0
    if len(accents) < 8 or spread == 0:
        return np.arange(len(accents)) % 4 + 1, 4, 0.0
    phases = {length: [float(accents[phase::length].mean()) for phase in range(length)] for length in (3, 4)}
    standing_out = {length: (max(means) - float(np.mean(means))) / spread for length, means in phases.items()}
    lead = standing_out[3] - standing_out[4] - _MARGIN_OF_THREE
    length = 3 if lead > 0 else 4
    downbeat = int(np.argmax(phases[length]))
    positions = (np.arange(len(accents)) - downbeat) % length + 1
    return positions.astype(np.int64), length, float(np.clip(abs(lead), 0.0, 1.0))
