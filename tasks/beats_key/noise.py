"""Where a tracker's beats lie in noise: applause, rain, a crowd. There is no music there, and so no beat.

A tracker that has found a pulse counts on through whatever follows. Three things together say that it is noise: no chord is heard for
seconds, all pitch classes are as strong as each other, and the networks hear next to nothing at the beats. A drum solo has the first two
and strong beats; a quiet chorale has weak beats and pitches.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.beats_key.evidence import Evidence, Harmony, strongest_near

Floats = npt.NDArray[np.float64]

#: No chord for at least so long (s); so long are the stretches that are looked at.
_SHORTEST_SEC: Final = 4.0
#: Entropy of the pitch classes, 1 for all alike. Measured: applause (made of claps) 0.996 to 0.998; drums with faint beats, in songs that
#: constants may be chosen on, at most 0.9928.
_EVEN: Final = 0.994
#: Mean activation at the beats. Measured on the same: applause 0.08 to 0.24, stretches of drums 0.32 and more.
_FAINT: Final = 0.25


def without_noise(times: Floats, evidence: Evidence) -> Floats:
    """The beats (s) that do not lie in noise."""
    chords = evidence.chords
    noise = np.zeros(len(times), bool)
    heard = strongest_near(evidence.beat_probability, times)
    for start, end in zip(chords.starts[chords.roots < 0], chords.ends[chords.roots < 0], strict=True):
        (inside,) = np.nonzero((times >= start) & (times < end))
        if end - start < _SHORTEST_SEC or len(inside) == 0:
            continue
        for beat in inside:
            first = float(np.clip(times[beat] - _SHORTEST_SEC / 2, start, end - _SHORTEST_SEC))
            around = inside[(times[inside] >= first) & (times[inside] < first + _SHORTEST_SEC)]
            noise[beat] = heard[around].mean() < _FAINT and evenness(evidence.harmony, first, first + _SHORTEST_SEC) > _EVEN
        # The last of the music may still sound where the noise begins.
        for along in (inside, inside[::-1]):
            for before, beat in pairwise(along):
                noise[beat] |= noise[before] and heard[beat] < _FAINT
    return times[~noise]


def evenness(harmony: Harmony, start: float, end: float) -> float:
    """How alike the pitch classes are from start to end (s): the entropy of their shares, 1 where all are equal, and in silence."""
    total = harmony.total(harmony.chroma_sums, np.array([start]), np.array([end]))[0]
    if total.sum() <= 0:
        return 1.0
    shares = total[total > 0] / total.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(total)))
