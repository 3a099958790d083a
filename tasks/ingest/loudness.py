"""Integrated loudness after ITU-R BS.1770-4, measured while the samples go by.

The filters are pyloudnorm's; pyloudnorm itself wants the whole song in memory several times over. A test holds the two together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from schemas.results import Loudness
from tasks.common.audio import SAMPLE_RATE, Samples

_SUB_SEC = 0.1  # blocks of 0.4 s that overlap by 75 % are four of these
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET = -0.691  # makes a 997 Hz sine at 0 dBFS read -3.01 LKFS


class LoudnessMeter:
    """meter.add(block) for every (2, frames) block at 44.1 kHz, then meter.result()."""

    def __init__(self) -> None:
        import pyloudnorm
        from scipy.signal import tf2sos

        meter = pyloudnorm.Meter(SAMPLE_RATE)
        self._weighting = np.concatenate([tf2sos(f.b * f.passband_gain, f.a) for f in meter._filters.values()])  # noqa: SLF001 (no public name)
        self._state = np.zeros((len(self._weighting), 2, 2))
        self._sub = int(_SUB_SEC * SAMPLE_RATE)
        self._rest = np.zeros((2, 0))
        self._energies: list[npt.NDArray[np.float64]] = []
        self._peak = 0.0

    def add(self, block: Samples) -> None:
        from scipy.signal import sosfilt

        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        weighted, self._state = sosfilt(self._weighting, block.astype(np.float64), axis=1, zi=self._state)
        weighted = np.concatenate([self._rest, weighted], axis=1)
        whole = weighted.shape[1] // self._sub * self._sub
        if whole:
            squares = np.square(weighted[:, :whole]).reshape(2, -1, self._sub)
            self._energies.append(squares.mean(axis=2).sum(axis=0))
        self._rest = weighted[:, whole:]

    @property
    def peak(self) -> float:
        """Largest sample so far, linear."""
        return self._peak

    def result(self) -> Loudness:
        peak_dbfs = 20 * np.log10(max(self._peak, 1e-10))
        return Loudness(integrated_lufs=self._integrated(), peak_dbfs=round(float(peak_dbfs), 3))

    def _integrated(self) -> float | None:
        """Gated loudness; None where every block is below the absolute gate, or the song is shorter than a block."""
        subs = np.concatenate(self._energies) if self._energies else np.zeros(0)
        if len(subs) < 4:
            return None
        blocks = np.convolve(subs, np.full(4, 0.25), mode="valid")
        loud = _lufs(blocks)
        gated = blocks[loud > _ABSOLUTE_GATE_LUFS]
        if not len(gated):
            return None
        threshold = float(_lufs(gated.mean())) + _RELATIVE_GATE_LU
        gated = blocks[(loud > threshold) & (loud > _ABSOLUTE_GATE_LUFS)]
        return round(float(_lufs(gated.mean())), 3)


def _lufs(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(_OFFSET + 10 * np.log10(np.maximum(power, 1e-15)))
