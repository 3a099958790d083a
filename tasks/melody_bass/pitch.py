"""Frame-wise pitch: what the pitch trackers hand to the note decoder.

Every track here has a frame each 16 ms; frame `i` is centred on `i * HOP_SEC` seconds. Pitches are MIDI note numbers as floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: SwiftF0's frame period (256 samples at 16 kHz); the levels, the onset strength and pYIN use the same grid.
HOP_SEC: Final = 0.016

#: Frames a tracker is at least this sure of count as voiced.
VOICED: Final = 0.5


@dataclass(frozen=True)
class PitchTrack:
    """Pitch over time.

    midi: (frames,) MIDI note number, NaN where the tracker offers no pitch.
    confidence: (frames,) probability in [0, 1] that the frame is voiced and the pitch right.
    """

    midi: FloatArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        if self.midi.shape != self.confidence.shape or self.midi.ndim != 1:
            raise ValueError(f"midi {self.midi.shape} and confidence {self.confidence.shape} must be vectors of one length")

    def __len__(self) -> int:
        return len(self.midi)

    @property
    def times(self) -> FloatArray:
        """Centres of the frames in seconds."""
        return np.arange(len(self), dtype=np.float64) * HOP_SEC

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.midi) & (self.confidence >= VOICED)


def hz_to_midi(frequency: FloatArray) -> FloatArray:
    """MIDI note numbers of frequencies in Hz; NaN where the frequency is not positive and finite."""
    midi = np.full(frequency.shape, np.nan)
    valid = np.isfinite(frequency) & (frequency > 0)
    midi[valid] = 69.0 + 12.0 * np.log2(frequency[valid] / 440.0)
    return midi


def midi_to_hz(midi: float) -> float:
    return float(440.0 * 2.0 ** ((midi - 69.0) / 12.0))
