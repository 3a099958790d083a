"""Level and onset strength of a stem, on the frame grid of the pitch tracks, and which frames are loud enough to be no leakage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from tasks.common.audio import Samples
from tasks.common.calibration import logistic
from tasks.melody_bass.pitch import HOP_SEC, FloatArray

SAMPLE_RATE: Final = 16000
_HOP: Final = round(HOP_SEC * SAMPLE_RATE)
_BLOCK_FRAMES: Final = 4096
_BANDS: Final = 24
FLOOR_DB: Final = -100.0

#: Bands this far (dB) below the loudest band of the song's loud parts are not heard, and the fewest bands that make a mean.
_AUDIBLE_DB: Final = 50.0
_FEWEST_BANDS: Final = 4

#: Frames this far below the stem's own loud parts, or below the mix at that moment, count half. In eight vocal stems the voice was within
#: 20 dB of both nearly always, and what was fainter was leakage as often as voice.
_BELOW_STEM_DB: Final = 28.0
_BELOW_MIX_DB: Final = 25.0
_SLOPE_DB: Final = 2.0

#: A stem whose loud parts lie this far below the mix's holds no part at all (songs without voice: 40 dB and more).
_ABSENT_DB: Final = 35.0


@dataclass(frozen=True)
class Attack:
    """How attacks of a part look: the analysis window in samples, and the mean rise of the sounding bands (dB) that is a clear attack."""

    window: int
    clear_db: float


#: 32 ms follow a voice; 64 ms hold two periods of the lowest bass notes, whose level would flutter in less. The rises were tried from 4 to
#: 15 dB on the stems of README.md.
VOICE_ATTACK: Final = Attack(512, 10.0)
BASS_ATTACK: Final = Attack(1024, 8.0)


@dataclass(frozen=True)
class Envelope:
    """level_db: (frames,) RMS level around each frame in dBFS. onset: (frames,) onset strength in [0, 1], non-zero only at its peaks."""

    level_db: FloatArray
    onset: FloatArray


def measure(signal: Samples, frames: int, attack: Attack = VOICE_ATTACK) -> Envelope:
    """Level and onset strength of a (samples,) signal at 16 kHz, as vectors of `frames`."""
    window = attack.window
    bands = np.full((frames, _BANDS), FLOOR_DB)
    level_db = of_length(level(signal), frames)
    padded = np.pad(signal, (window // 2, window + _HOP))
    for start in range(0, frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, frames - start)
        block = padded[start * _HOP : (start + count - 1) * _HOP + window]
        windows = np.lib.stride_tricks.sliding_window_view(block, window)[::_HOP]
        bands[start : start + len(windows)] = _band_levels(windows)
    return Envelope(level_db, _peaks(_flux(bands, window // _HOP) / attack.clear_db))


def of_length(level_db: FloatArray, frames: int) -> FloatArray:
    """Levels cut to so many frames, or silence after them."""
    found = np.full(frames, FLOOR_DB)
    found[: min(frames, len(level_db))] = level_db[:frames]
    return found


def level(signal: Samples) -> FloatArray:
    """RMS level (dBFS) around each frame of a (samples,) signal at 16 kHz."""
    padded = np.pad(signal, (_HOP, _HOP))
    count = len(padded) // _HOP
    power: FloatArray = np.mean(np.square(padded[: count * _HOP].reshape(count, _HOP), dtype=np.float32), axis=1, dtype=np.float64)
    return _decibel((power[:-1] + power[1:]) / 2)


def audible(stem_db: FloatArray, mix_db: FloatArray) -> FloatArray:
    """Weights in [0, 1] for the confidences of a stem's frames.

    stem_db, mix_db: (frames,) RMS level in dBFS on one frame grid; the mix may be longer or shorter by some frames.
    """
    frames = len(stem_db)
    mix = of_length(mix_db, frames)
    if not frames:
        return np.zeros(0)
    loud_mix = float(np.percentile(mix, 95))
    # A part that plays for a moment only is measured by its loudest moment.
    loud_stem = max(float(np.percentile(stem_db, 95)), float(stem_db.max()) - 10.0)
    if loud_stem < loud_mix - _ABSENT_DB or loud_stem <= FLOOR_DB + 20.0:
        return np.zeros(frames)
    within_stem = logistic((stem_db - loud_stem + _BELOW_STEM_DB) / _SLOPE_DB)
    within_mix = logistic((stem_db - mix + _BELOW_MIX_DB) / _SLOPE_DB)
    weights: FloatArray = within_stem * within_mix
    return weights


def _decibel(power: FloatArray) -> FloatArray:
    decibel: FloatArray = 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10)))
    return decibel


def _band_levels(windows: Samples) -> FloatArray:
    """(frames, bands) level in dB in logarithmically spaced bands from 62 Hz (31 Hz with the longer window) to 8 kHz."""
    window = windows.shape[1]
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(window).astype(np.float32), axis=1)) ** 2 / (window / 4) ** 2
    edges = np.unique(np.round(np.geomspace(2, spectrum.shape[1] - 1, _BANDS + 1)).astype(int))
    levels = np.full((len(windows), _BANDS), FLOOR_DB)
    levels[:, : len(edges) - 1] = _decibel(np.add.reduceat(spectrum, edges[:-1], axis=1))
    return levels


def _flux(bands: FloatArray, lag: int) -> FloatArray:
    """Rise of the audible bands over `lag` frames (the window blurs an attack that far) in dB: the mean over the bands that sound."""
    if not len(bands):
        return np.zeros(0)
    floor = np.percentile(bands.max(axis=1), 95) - _AUDIBLE_DB
    above = np.maximum(bands, floor)
    sounding = np.maximum(np.sum(bands > floor, axis=1), _FEWEST_BANDS)
    rise = np.zeros(len(bands))
    rise[lag:] = np.maximum(above[lag:] - above[:-lag], 0.0).sum(axis=1) / sounding[lag:]
    # The rise is whole when the window has moved over the attack, half a lag later.
    back = lag // 2
    return np.concatenate((rise[back:], np.zeros(min(back, len(rise)))))[: len(rise)]


def _peaks(strength: FloatArray) -> FloatArray:
    """The strength, at most 1, where it is a local maximum over five frames; 0 elsewhere."""
    if not len(strength):
        return strength
    padded = np.pad(strength, 2, constant_values=-1.0)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 5).max(axis=1)
    return np.where(strength >= highest, np.clip(strength, 0.0, 1.0), 0.0)
