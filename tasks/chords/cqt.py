"""The constant-Q spectrogram of a song of any length: block by block, in one tuning.

That of a whole song takes gigabytes where a song lasts half an hour. Here each block is analysed with the longest filter's reach on both
sides, so that blocks do not show.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.common.constant_q import CqtShape, hybrid_constant_q
from tasks.common.progress import Progress, silent

Spectrogram = npt.NDArray[np.float32]

BLOCK_SEC = 60.0
#: More than the longest filter's half (1.1 s for F#0 with 36 bins per octave) and the resampling of the lower octaves.
CONTEXT_SEC = 2.5
#: Shorter sound is followed by silence: less than one window would be left of it at the rate of the lowest octave.
_SHORTEST_SEC = 4.0


def cqt(samples: Samples, shape: CqtShape, tuning: float = 0.0, progress: Progress = silent, block_sec: float = BLOCK_SEC) -> Spectrogram:
    """Magnitudes (frames, bins) of mono samples: a hybrid CQT, tuned to the song. tuning: semitones above A440."""
    frames = 1 + len(samples) // shape.hop
    block, context = (int(seconds * shape.sample_rate / shape.hop) for seconds in (block_sec, CONTEXT_SEC))
    magnitudes = np.empty((frames, shape.bins), np.float32)
    for start in range(0, frames, block):
        progress(start / frames, "spectrogram")
        stop, first = min(start + block, frames), max(0, start - context)
        part = samples[first * shape.hop : (stop + context) * shape.hop]
        part = np.pad(part, (0, max(0, int(_SHORTEST_SEC * shape.sample_rate) - len(part))))
        magnitudes[start:stop] = hybrid_constant_q(part, shape, tuning * shape.bins_per_octave / 12)[:, start - first : stop - first].T
    progress(1.0)
    return magnitudes
