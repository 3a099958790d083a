"""The tuning of a song: how far it lies from A = 440 Hz. Estimated once, over the whole mix; whoever reads pitches asks here.

Spectral peaks are counted by how far they lie from the nearest semitone, over the whole circle of a semitone: an estimate in thirds of a
semitone, as fits a transform with 36 bins an octave, wraps beyond 16.7 cents, and every chord of a song tuned to 432 Hz is then a semitone
low. A song a quarter tone off is as far from one semitone as from the next, and either answer is right, but all must have the same.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples, read_mono
from tasks.common.short_time import short_time_spectra

Floats = npt.NDArray[np.float64]

#: 186 ms: neighbouring notes are apart from 150 Hz on. At twice the rate, the peaks of songs scatter more.
SAMPLE_RATE: Final = 11025
_WINDOW: Final = 2048
_PEAK_HZ: Final = (150.0, 4000.0)
_PEAK_THRESHOLD: Final = 0.1
#: So much is weighed for itself, so that a loud part does not silence the others.
_BLOCK_SEC: Final = 60.0
#: Cents. Peaks of notes in tune scatter about so much.
_SPREAD: Final = 4
#: The count at the tuning over the mean count. Measured: renders 4.2 to 6.3, real songs 1.2 to 4.8 (of which the lowest, a song that is a
#: quarter tone off in each of its quarters, has 1.3); white noise of 2 to 60 s 1.02 to 1.12.
_LEAST_CLEAR: Final = 1.15
#: Songs of a batch that are analysed at the same time.
_KEPT: Final = 32


def tuning_of(path: Path) -> float:
    """Semitones that a song, a WAV file, lies above A440: -0.5 to 0.5; 0 where nothing is tuned."""
    stat = path.stat()
    return _tuning_of(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=_KEPT)
def _tuning_of(path: Path, _size: int, _changed: int) -> float:
    return estimate_tuning(read_mono(path, SAMPLE_RATE))


def estimate_tuning(samples: Samples) -> float:
    """The same of mono samples at `SAMPLE_RATE`."""
    block = round(_BLOCK_SEC * SAMPLE_RATE)
    parts = [samples[start : start + block] for start in range(0, len(samples), block)]
    hertz = np.concatenate([np.zeros(0), *(_strong_peaks(part) for part in parts if len(part) >= _WINDOW)])
    if not len(hertz):
        return 0.0
    cents = np.floor(np.mod(1200 * np.log2(hertz / 440.0) + 0.5, 100.0)).astype(int)
    counts = _smoothed(np.bincount(cents, minlength=100).astype(np.float64))
    if counts.max() < _LEAST_CLEAR * counts.mean():
        return 0.0
    found = int(np.argmax(counts))
    return (found if found < 50 else found - 100) / 100


def in_tune(samples: Samples, tuning: float) -> Samples:
    """(samples,) played slower or faster, so that a song of some tuning sounds at A440: `stretch(tuning)` times as long."""
    import soxr

    return samples if tuning == 0.0 else soxr.resample(samples, 1.0, stretch(tuning), quality="HQ")


def stretch(tuning: float) -> float:
    """How many times longer a song lasts when it is played at A440."""
    return float(2.0 ** (tuning / 12))


def _smoothed(counts: Floats) -> Floats:
    """(100,) round the circle."""
    reach = 4 * _SPREAD
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SPREAD) ** 2)
    found: Floats = np.convolve(np.concatenate([counts[-reach:], counts, counts[:reach]]), bell, mode="valid")
    return found


def _strong_peaks(samples: Samples) -> Floats:
    """Frequencies (Hz) of the spectral peaks that are at least as strong as half of them are."""
    peaks = [_peaks(np.abs(block)) for block in short_time_spectra(samples, _WINDOW, _WINDOW // 4)]
    hertz, strength = (np.concatenate(part) for part in zip(*peaks, strict=True))
    return hertz[strength >= np.median(strength)] if len(hertz) else hertz


def _peaks(magnitudes: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Frequencies (Hz) and strengths of the peaks of (bins, frames), between bins by parabolas, as of `librosa.piptrack`."""
    bins = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    inside = (bins >= _PEAK_HZ[0]) & (bins < _PEAK_HZ[1])
    first, stop = int(np.argmax(inside)), len(bins) - int(np.argmax(inside[::-1]))
    loud = np.where(magnitudes > _PEAK_THRESHOLD * magnitudes.max(axis=0), magnitudes, 0)
    is_peak = (loud[first:stop] > loud[first - 1 : stop - 1]) & (loud[first:stop] >= loud[first + 1 : stop + 1])
    number, frame = np.nonzero(is_peak)
    number += first
    below, at, above = (magnitudes[number + offset, frame].astype(np.float64) for offset in (-1, 0, 1))
    bend, slope = below + above - 2 * at, (above - below) / 2
    shift = np.divide(-slope, bend, out=np.zeros_like(bend), where=np.abs(slope) < np.abs(bend))
    return (number + shift) * SAMPLE_RATE / _WINDOW, at + 0.5 * slope * shift
