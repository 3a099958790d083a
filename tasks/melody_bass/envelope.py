"""Level and onset strength of a stem, on the frame grid of the pitch tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.common.audio import Samples
from tasks.melody_bass.pitch import HOP_SEC, FloatArray

SAMPLE_RATE: Final = 16000
_HOP: Final = round(HOP_SEC * SAMPLE_RATE)
_WINDOW: Final = 2 * _HOP
_BLOCK_FRAMES: Final = 4096
_BANDS: Final = 24
FLOOR_DB: Final = -100.0

#: Lag of the spectral flux in frames: the 32 ms window blurs an attack over two of them.
_LAG: Final = 2
#: Flux (dB per band, mean over the bands) that counts as a clear attack.
_CLEAR_FLUX_DB: Final = 8.0


@dataclass(frozen=True)
class Envelope:
    """level_db: (frames,) RMS level around each frame in dBFS. onset: (frames,) onset strength in [0, 1], non-zero only at its peaks."""

    level_db: FloatArray
    onset: FloatArray


def measure(signal: Samples, frames: int) -> Envelope:
    """Level and onset strength of a (samples,) signal at 16 kHz, as vectors of `frames`."""
    bands = np.full((frames, _BANDS), FLOOR_DB)
    level_db = np.full(frames, FLOOR_DB)
    heard = level(signal)[:frames]
    level_db[: len(heard)] = heard
    padded = np.pad(signal, (_HOP, _WINDOW))
    for start in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - start)
        block = padded[start * _HOP : (start + count) * _HOP + _HOP]
        windows = np.lib.stride_tricks.sliding_window_view(block, _WINDOW)[::_HOP]
        bands[start : start + len(windows)] = _band_levels(windows)
    return Envelope(level_db, _peaks(_flux(bands)))


def level(signal: Samples) -> FloatArray:
    """RMS level (dBFS) around each frame of a (samples,) signal at 16 kHz."""
    padded = np.pad(signal, (_HOP, _HOP))
    count = len(padded) // _HOP
    power: FloatArray = np.mean(np.square(padded[: count * _HOP].reshape(count, _HOP), dtype=np.float32), axis=1, dtype=np.float64)
    return _decibel((power[:-1] + power[1:]) / 2)


def _decibel(power: FloatArray) -> FloatArray:
    decibel: FloatArray = 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10)))
    return decibel


def _band_levels(windows: Samples) -> FloatArray:
    """Level (dB) in logarithmically spaced bands from 62 Hz to 8 kHz."""
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW).astype(np.float32), axis=1)) ** 2 / (_WINDOW / 4) ** 2
    edges = np.unique(np.round(np.geomspace(2, spectrum.shape[1] - 1, _BANDS + 1)).astype(int))
    levels = np.full((len(windows), _BANDS), FLOOR_DB)
    levels[:, : len(edges) - 1] = _decibel(np.add.reduceat(spectrum, edges[:-1], axis=1))
    return levels


def _flux(bands: FloatArray) -> FloatArray:
    """Mean rise of the bands over two frames in dB, counting only what comes within 50 dB of the loudest band of the song's loud parts."""
    if not len(bands):
        return np.zeros(0)
    floor = np.percentile(bands.max(axis=1), 95) - 50.0
    audible = np.maximum(bands, floor)
    rise = np.zeros(len(bands))
    rise[_LAG:] = np.maximum(audible[_LAG:] - audible[:-_LAG], 0.0).mean(axis=1)
    # The rise is seen when the window has moved over it; the attack lies a frame before.
    return np.append(rise[1:], 0.0)


def _peaks(flux: FloatArray) -> FloatArray:
    """The flux where it is a local maximum over five frames, scaled so that a clear attack is 1."""
    padded = np.pad(flux, 2, constant_values=-1.0)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 5).max(axis=1)
    return np.where(flux >= highest, np.clip(flux / _CLEAR_FLUX_DB, 0.0, 1.0), 0.0)
