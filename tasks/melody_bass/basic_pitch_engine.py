"""Several pitches at once with Basic Pitch, a small convolutional network on a harmonic constant-Q transform (Bittner et al. 2022,
"A lightweight instrument-agnostic model for polyphonic note transcription and multipitch estimation", ICASSP).

The network hears 2 s at a time, A0 to C8. Windows overlap by 30 frames, of which half is left out on either side, as in the package
`basic-pitch` (inference.py); what it makes of the same samples is the same. Three things around it differ: the frames' times are those of
the windows, while the package corrects them by a constant that is right on the average; nothing is cut at the end, where the package counts
86 frames a second and loses the last 0.7 % of the song; and a song out of tune is played to the network in tune.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.common.progress import Progress, silent
from tasks.melody_bass import network
from tasks.melody_bass.pitch import FloatArray

MODEL: Final = "basic-pitch"
FILE: Final = "nmp.onnx"
SAMPLE_RATE: Final = 22050
#: The lowest of the 88 pitches, a MIDI note number, and how finely the contours divide a semitone.
LOWEST_MIDI: Final = 21
CONTOUR_STEPS: Final = 3

_HOP: Final = 256
_WINDOW: Final = 2 * SAMPLE_RATE - _HOP
_OVERLAP_FRAMES: Final = 30
_STEP: Final = _WINDOW - _OVERLAP_FRAMES * _HOP
_KEPT: Final = slice(_OVERLAP_FRAMES // 2, -(_OVERLAP_FRAMES // 2))

_INPUT: Final = "serving_default_input_2:0"
_OUTPUTS: Final = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2", "StatefulPartitionedCall:0"]

Posterior = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Posteriors:
    """What the network believes, along time.

    note, onset: (frames, 88) probability that a semitone sounds, and that it begins. contour: (frames, 264) the same for thirds.
    times: (frames,) seconds, rising.
    """

    note: Posterior
    onset: Posterior
    contour: Posterior
    times: FloatArray


def sample_rate(tuning: float) -> int:
    """The rate (Hz) at which `hear` wants the signal of a song that lies `tuning` semitones from A440: played at 22050 Hz it is in tune."""
    return round(SAMPLE_RATE * float(2.0 ** (tuning / 12.0)))


def hear(signal: Samples, folder: Path, tuning: float = 0.0, progress: Progress = silent) -> Posteriors:
    """The network's posteriors of a (samples,) signal at `sample_rate(tuning)` Hz. folder: holds `nmp.onnx`."""
    session = network.load(MODEL, folder / FILE)
    padded = np.concatenate((np.zeros(_OVERLAP_FRAMES // 2 * _HOP, np.float32), signal))
    starts = range(0, len(padded), _STEP)
    heard: list[list[Posterior]] = []
    for start in starts:
        window = np.zeros((1, _WINDOW, 1), np.float32)
        part = padded[start : start + _WINDOW]
        window[0, : len(part), 0] = part
        heard.append([output[0, _KEPT] for output in session.run(_OUTPUTS, {_INPUT: window})])
        progress(min(1.0, (start + _STEP) / len(padded)), "voices")
    note, onset, contour = (np.concatenate(outputs) for outputs in zip(*heard, strict=True))
    frames = len(heard[0][0])
    samples = (np.array(starts)[:, None] + _HOP * np.arange(frames)).ravel()
    inside = samples < max(len(signal), 1)
    return Posteriors(note[inside], onset[inside], contour[inside], samples[inside] / sample_rate(tuning))
