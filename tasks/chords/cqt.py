"""The constant-Q spectrogram of a song of any length: block by block, in one tuning.

librosa's hybrid CQT of a whole song takes gigabytes where a song lasts half an hour. Here each block is analysed with the longest filter's
reach on both sides, so that blocks do not show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.common.progress import Progress, silent

Spectrogram = npt.NDArray[np.float32]

BLOCK_SEC = 60.0
#: More than the longest filter's half (1.1 s for F#0 with 36 bins per octave) and the resampling of the lower octaves.
CONTEXT_SEC = 2.5
#: Shorter sound is followed by silence: less than one window would be left of it at the rate of the lowest octave.
_SHORTEST_SEC = 4.0


@dataclass(frozen=True)
class CqtShape:
    """The transform's geometry. lowest: note name of the first bin. Frame i is centred on sample i · hop."""

    sample_rate: int
    hop: int
    lowest: str
    bins: int
    bins_per_octave: int


def cqt(samples: Samples, shape: CqtShape, progress: Progress = silent, block_sec: float = BLOCK_SEC) -> Spectrogram:
    """Magnitudes (frames, bins) of mono samples: `librosa.hybrid_cqt`, tuned to the song."""
    import librosa

    frames = 1 + len(samples) // shape.hop
    block, context = (int(seconds * shape.sample_rate / shape.hop) for seconds in (block_sec, CONTEXT_SEC))
    tuning = estimate_tuning(samples, shape)
    fmin = librosa.note_to_hz(shape.lowest)
    magnitudes = np.empty((frames, shape.bins), np.float32)
    for start in range(0, frames, block):
        progress(start / frames, "spectrogram")
        stop, first = min(start + block, frames), max(0, start - context)
        part = samples[first * shape.hop : (stop + context) * shape.hop]
        part = np.pad(part, (0, max(0, int(_SHORTEST_SEC * shape.sample_rate) - len(part))))
        found = librosa.hybrid_cqt(
            part,
            sr=shape.sample_rate,
            hop_length=shape.hop,
            fmin=fmin,
            n_bins=shape.bins,
            bins_per_octave=shape.bins_per_octave,
            tuning=tuning,
        )
        magnitudes[start:stop] = np.abs(found[:, start - first : stop - first]).T
    progress(1.0)
    return magnitudes


def estimate_tuning(samples: Samples, shape: CqtShape, block_sec: float = BLOCK_SEC) -> float:
    """Deviation of the song's tuning from A440 in fractions of a bin, from the stronger half of its spectral peaks (as librosa does it)."""
    import librosa

    block = int(block_sec * shape.sample_rate)
    pitches = []
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        if len(part) < 2048:  # piptrack's window
            continue
        pitch, magnitude = librosa.piptrack(y=part, sr=shape.sample_rate)
        peaks = pitch > 0
        if peaks.any():
            pitches.append(pitch[peaks & (magnitude >= np.median(magnitude[peaks]))])
    if not pitches:
        return 0.0
    return float(librosa.pitch_tuning(np.concatenate(pitches), bins_per_octave=shape.bins_per_octave))
