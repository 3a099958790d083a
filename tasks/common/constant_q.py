"""Constant-Q spectra and the chroma folded from them: librosa's numbers, without librosa.

librosa compiles functions with numba when it is first used in an environment: 19 s of a core, most of it for functions that nothing here
calls, and 2 s in every later process. What the way to a Song Map needs of it is computed here with NumPy, SciPy and soxr, in librosa's
order, and the tests hold it to librosa's results.

Source: C. Schörkhuber and A. Klapuri, "Constant-Q transform toolbox for music processing" (SMC 2010), as librosa 0.11 has it: the filters
of one octave, applied to the sound at half the rate for each octave further down.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.common.short_time import short_time_spectra

Floats = npt.NDArray[np.float64]
Magnitudes = npt.NDArray[np.float32]

#: Width of a Hann window's main lobe in bins, as librosa has measured it.
_HANN_BANDWIDTH: Final = 1.50018310546875
#: Of each filter's spectrum, the smallest coefficients that together hold this share are left out.
_LEFT_OUT: Final = 0.01


@dataclass(frozen=True)
class CqtShape:
    """The transform's geometry. lowest_midi: the first bin's note. Frame i is centred on sample i · hop."""

    sample_rate: int
    hop: int
    lowest_midi: int
    bins: int
    bins_per_octave: int

    @property
    def quality(self) -> float:
        """Of every filter: frequency by bandwidth."""
        apart = 2.0 ** (2.0 / self.bins_per_octave)
        return float((apart + 1.0) / (apart - 1.0))

    def frequencies(self, tuning: float) -> Floats:
        """(bins,) Hz. tuning: fractions of a bin."""
        lowest = 440.0 * 2.0 ** ((self.lowest_midi - 69.0) / 12.0) * 2.0 ** (tuning / self.bins_per_octave)
        octaves = 2.0 ** np.arange(-(-self.bins // self.bins_per_octave))
        within = 2.0 ** (np.arange(self.bins_per_octave) / self.bins_per_octave)
        found: Floats = np.multiply.outer(octaves, within).ravel()[: self.bins] * lowest
        return found


def constant_q(samples: Samples, shape: CqtShape, tuning: float = 0.0) -> Magnitudes:
    """Magnitudes (bins, frames) of mono samples, as of `librosa.cqt`."""
    return _octave_by_octave(samples, shape, shape.frequencies(tuning))


def hybrid_constant_q(samples: Samples, shape: CqtShape, tuning: float = 0.0) -> Magnitudes:
    """The same with less work, as of `librosa.hybrid_cqt`: bins whose filters are no longer than two hops share one transform."""
    frequencies = shape.frequencies(tuning)
    short = 2.0 ** np.ceil(np.log2(shape.quality * shape.sample_rate / frequencies)) < 2 * shape.hop
    low, high = frequencies[~short], frequencies[short]
    found = [_octave_by_octave(samples, shape, low)] if len(low) else []
    if len(high):
        found.append(_all_at_once(samples, shape, high))
    return _stacked(found)


def chroma(samples: Samples, shape: CqtShape, tuning: float = 0.0) -> Magnitudes:
    """Energy of the pitch classes from C, (12, frames), as of `librosa.feature.chroma_cqt` with `norm=None`."""
    per_note = shape.bins_per_octave // 12
    # The bins of a note lie around its centre: the last of the semitone below belongs to it.
    notes = (np.arange(shape.bins) + per_note // 2) // per_note + shape.lowest_midi
    fold = (notes % 12 == np.arange(12)[:, None]).astype(np.float32)
    folded: Magnitudes = (constant_q(samples, shape, tuning).T @ fold.T).T
    return folded


def _octave_by_octave(samples: Samples, shape: CqtShape, frequencies: Floats) -> Magnitudes:
    halvings = _free_halvings(shape, frequencies)
    samples, hop, rate = _decimated(samples, 2**halvings), shape.hop >> halvings, shape.sample_rate / 2**halvings
    lengths, scale, found = shape.quality * rate / frequencies, 1.0, []
    for stop in range(len(frequencies), 0, -shape.bins_per_octave):
        octave = slice(max(0, stop - shape.bins_per_octave), stop)
        filters = _filters(tuple(frequencies[octave] / rate), shape.quality)
        # The filters keep the energy that they have at the first octave's rate.
        scaled = (filters * np.sqrt(scale)).astype(np.complex64)
        blocks = short_time_spectra(samples, _size(filters), hop, "boxcar")
        response = np.concatenate([scaled @ block for block in blocks], axis=1)
        response /= np.sqrt(lengths[octave])[:, None]
        found.append(np.abs(response))
        if hop % 2 == 0:
            samples, hop, rate, scale = _decimated(samples, 2), hop // 2, rate / 2, 2 * scale
    return _stacked(found[::-1])


def _all_at_once(samples: Samples, shape: CqtShape, frequencies: Floats) -> Magnitudes:
    filters = abs(_filters(tuple(frequencies / shape.sample_rate), shape.quality, 2 ** (1 + int(np.ceil(np.log2(shape.hop))))))
    blocks = short_time_spectra(samples, _size(filters), shape.hop)
    found: Magnitudes = np.concatenate([filters @ np.abs(block) for block in blocks], axis=1)
    found /= np.sqrt(_size(filters))
    return found


def _free_halvings(shape: CqtShape, frequencies: Floats) -> int:
    """How often the rate can be halved at no loss: what sounds still lies an octave below the highest possible frequency, and the hop can
    still be halved for each octave.
    """
    highest = frequencies[-1] * (1 + 0.5 * _HANN_BANDWIDTH / shape.quality)
    room = int(np.ceil(np.log2(shape.sample_rate / 2 / highest))) - 2
    octaves = -(-len(frequencies) // shape.bins_per_octave)
    twos = (shape.hop & -shape.hop).bit_length() - 1
    return max(0, min(room, twos - octaves + 1))


def _decimated(samples: Samples, by: int) -> Samples:
    """The same energy at a rate so many times lower."""
    import soxr

    if by == 1:
        return samples
    wanted = -(-len(samples) // by)
    found = soxr.resample(samples, by, 1, quality="HQ")[:wanted]
    padded: Samples = np.pad(found, (0, wanted - len(found)))
    padded /= np.sqrt(1.0 / by)
    return padded


@functools.lru_cache(maxsize=32)
def _filters(frequencies: tuple[float, ...], quality: float, smallest: int = 1) -> Any:
    """Spectra of the filters, sparse complex64 (filters, 1 + size // 2): windowed complex tones of so many cycles a sample, centred in
    `size` samples, a power of two, at least `smallest`. All octaves of a transform have the same, each at its own rate.
    """
    from scipy import fft, signal, sparse

    lengths = quality / np.array(frequencies)
    longest = 2 ** int(np.ceil(np.log2(lengths.max())))
    size = max(longest, smallest)
    tones = np.zeros((len(lengths), longest), np.complex64)
    for row, length, frequency in zip(tones, lengths, frequencies, strict=True):
        phase = np.arange(-length // 2, length // 2) * 2 * np.pi * frequency
        tone = (np.cos(phase) + 1j * np.sin(phase)) * signal.get_window("hann", len(phase))
        first = (longest - len(tone)) // 2
        row[first : first + len(tone)] = tone / np.abs(tone).sum()
    tones *= lengths[:, None] / size
    spectra = fft.fft(tones, n=size, axis=1)[:, : size // 2 + 1]
    strength = np.abs(spectra)
    ordered = np.sort(strength, axis=1)
    weakest = np.argmin(np.cumsum(ordered / strength.sum(axis=1, keepdims=True), axis=1) < _LEFT_OUT, axis=1)
    spectra[strength < ordered[np.arange(len(ordered)), weakest][:, None]] = 0
    return sparse.csr_array(spectra)


def _size(filters: Any) -> int:
    return 2 * (int(filters.shape[1]) - 1)


def _stacked(parts: list[Magnitudes]) -> Magnitudes:
    """Octaves, the lowest first, with as many frames as all have."""
    frames = min(part.shape[1] for part in parts)
    return np.concatenate([part[:, :frames] for part in parts])
