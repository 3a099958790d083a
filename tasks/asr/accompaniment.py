"""How loud the accompaniment is in what the recogniser reads: the voice alone, the mix, or the accompaniment turned down.

The one place that says which, and why. Measured (README.md): with the accompaniment 10 dB down, words are clearer than in the mix, and the
holes and artefacts of separation, which mislead Whisper on the bare stem, are covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tasks.asr.recognizer import SAMPLE_RATE
from tasks.common.audio import Samples

#: Gain of the accompaniment, best first: what is decoded, then what is tried where that comes out as a loop.
ACCOMPANIMENT_GAINS: Final = (0.3, 1.0, 0.0)


@dataclass(frozen=True)
class Sound:
    """A song at 16 kHz: the mix, and the vocal stem where there is one; (samples,) each, of the same length."""

    mix: Samples
    vocals: Samples | None

    @property
    def name(self) -> Literal["mix", "vocals"]:
        """What the lyrics are said to be heard from."""
        return "mix" if self.vocals is None else "vocals"

    @property
    def gains(self) -> tuple[float, ...]:
        """The gains of the accompaniment that make a difference, best first."""
        return (1.0,) if self.vocals is None else ACCOMPANIMENT_GAINS

    def cut(self, start: float, end: float, gain: float) -> Samples:
        """The sound between two times (seconds), with the accompaniment at `gain`."""
        frames = slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
        mix = self.mix[frames]
        if self.vocals is None or gain == 1.0:
            return mix
        vocals = self.vocals[frames]
        return vocals + gain * (mix - vocals)
