"""What is put right of a decode before it is analysed: offset, channels, level. A recording without these faults stays as it is, bit for
bit, so that its id and every cached result hold.

Channel 0 is left, 1 right. Levels are linear, 1.0 being full scale, unless a name ends in `_db` or `_dbfs`.

The limits were set on 77 annotated and rendered songs and stems without faults: their offset is at most 0.024 of their RMS, the correlation
of their channels at least -0.19, and below 150 Hz, where mixes have little width, at least 0.66.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.results import ChannelsUsed
from tasks.common.audio import Samples

#: A recording whose peak is below this is raised (-20 dBFS): the steps' models have heard no quieter music.
QUIET_PEAK = 0.1
#: A constant offset counts from this share of the sound's RMS.
_OFFSET_SHARE = 0.1
#: A channel that is this much weaker than the other, in power, carries nothing (-50 dB).
_EMPTY_SHARE = 1e-5
#: Channels cancel where their correlation is below the first; or below the second, and below the third in the bass.
_CANCEL = -0.5
_MAY_CANCEL = 0.2
_BASS_CANCELS = -0.5
#: The bass tells where it is at least this share of the power (-30 dB).
_BASS_SHARE = 1e-3
#: Means of so many samples (at 44.1 kHz) leave what is below about 150 Hz.
_BASS_SAMPLES = 128


@dataclass(frozen=True)
class Repair:
    """What is done to a decode. offset: subtracted from each channel. gain_exponent: of the power of two that it is then multiplied by.

    channels: both; left or right: that one is heard on both sides; inverted: the right one is turned over.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    channels: ChannelsUsed = "both"
    gain_exponent: int = 0

    @property
    def changes(self) -> bool:
        return self != Repair()

    @property
    def gain_db(self) -> float:
        return float(20 * np.log10(2.0) * self.gain_exponent)

    def apply(self, block: Samples) -> Samples:
        """(2, frames) in and out."""
        if any(self.offset):
            block = (block - np.array(self.offset)[:, None]).astype(np.float32)
        if self.channels == "inverted":
            block = np.stack([block[0], -block[1]])
        elif self.channels != "both":
            one = block[0 if self.channels == "left" else 1]
            block = np.stack([one, one])
        # A power of two: exact in binary floating point, so that it can be taken back.
        return np.ldexp(block, self.gain_exponent).astype(np.float32)

    def warnings(self, peak: float) -> list[str]:
        """What a reader of the Song Map should know. peak: of the sound, without its offset."""
        found = []
        if any(self.offset):
            found.append(f"A constant offset of {self.offset[0]:+.4f} (left) and {self.offset[1]:+.4f} (right) was taken out")
        if self.channels in ("left", "right"):
            other = "right" if self.channels == "left" else "left"
            found.append(f"The {other} channel is silent; the {self.channels} one was analysed in its place too, also for the stems")
        elif self.channels == "inverted":
            found.append("The channels cancel each other; the right one was turned over, also for the stems")
        if self.gain_exponent:
            found.append(
                f"The recording is quiet (peak {20 * np.log10(peak):.1f} dBFS): it was raised by {self.gain_db:.2f} dB, as are the stems"
            )
        return found


class LevelMeter:
    """meter.add(block) for every (2, frames) block at 44.1 kHz, then `meter.peak` and `meter.repair()`."""

    def __init__(self) -> None:
        self._frames = 0
        self._sums = np.zeros(2)
        self._products = np.zeros((2, 2))
        self._lowest = np.full(2, np.inf)
        self._highest = np.full(2, -np.inf)
        self._bass_products = np.zeros((2, 2))
        self._bass_sums = np.zeros(2)
        self._bass_frames = 0

    def add(self, block: Samples) -> None:
        if not block.shape[1]:
            return
        sound = block.astype(np.float64)
        self._frames += sound.shape[1]
        self._sums += sound.sum(axis=1)
        self._products += sound @ sound.T
        self._lowest = np.minimum(self._lowest, block.min(axis=1))
        self._highest = np.maximum(self._highest, block.max(axis=1))
        whole = sound.shape[1] // _BASS_SAMPLES * _BASS_SAMPLES
        bass = sound[:, :whole].reshape(2, -1, _BASS_SAMPLES).mean(axis=2)
        self._bass_frames += bass.shape[1]
        self._bass_sums += bass.sum(axis=1)
        self._bass_products += bass @ bass.T

    @property
    def peak(self) -> float:
        """Largest sample without the constant offset, where there is one."""
        return float(self._peaks(np.array(self._offset())).max()) if self._frames else 0.0

    def repair(self) -> Repair:
        """What a decode with these levels needs."""
        offset = self._offset()
        peaks = self._peaks(np.array(offset))
        peak = float({"left": peaks[0], "right": peaks[1]}.get(channels := self._channels(), peaks.max()))
        exponent = int(np.floor(-np.log2(peak))) if 0 < peak < QUIET_PEAK else 0
        return Repair(offset, channels, exponent)

    def _offset(self) -> tuple[float, float]:
        means, covariance = _moments(self._frames, self._sums, self._products)
        counts = np.abs(means) > _OFFSET_SHARE * np.sqrt(np.maximum(np.diag(covariance), 0.0))
        left, right = np.where(counts, means, 0.0)
        return float(left), float(right)

    def _peaks(self, offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.maximum(self._highest - offset, offset - self._lowest))

    def _channels(self) -> ChannelsUsed:
        _, covariance = _moments(self._frames, self._sums, self._products)
        left, right = np.diag(covariance)
        if right <= _EMPTY_SHARE * left:
            return "left" if left > 0 else "both"
        if left <= _EMPTY_SHARE * right:
            return "right"
        _, bass = _moments(self._bass_frames, self._bass_sums, self._bass_products)
        tells = np.trace(bass) > _BASS_SHARE * np.trace(covariance)
        whole = _likeness(covariance)
        cancels = whole < _CANCEL or (tells and whole < _MAY_CANCEL and _likeness(bass) < _BASS_CANCELS)
        return "inverted" if cancels else "both"


def _likeness(covariance: npt.NDArray[np.float64]) -> float:
    """Power of the middle minus that of the sides, relative to their sum: 1 where the channels are alike, -1 where they cancel."""
    return float(2 * covariance[0, 1] / max(float(np.trace(covariance)), 1e-30))


def _moments(
    count: int, sums: npt.NDArray[np.float64], products: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(2,) means and the (2, 2) covariance."""
    means = sums / max(count, 1)
    return means, products / max(count, 1) - np.outer(means, means)
