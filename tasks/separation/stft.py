"""Short-time Fourier transform of a file in blocks, so that memory does not grow with the song.

Frame k of a transform is centred on sample k * hop, and samples outside the file are zero. The window is a periodic Hann, for analysis
and for synthesis; at a hop of a quarter window its squares add up to 1.5 everywhere, so dividing by that inverts the transform exactly.

Spectra are complex64, shaped (channels, bins, frames); signals are float32, shaped (channels, frames).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples

Spectrum = npt.NDArray[np.complex64]

#: `read(start, frames)` returns (channels, frames); samples outside the signal are zero.
Reader = Callable[[int, int], Samples]

#: Sum of the squares of a periodic Hann window over its overlaps at a hop of a quarter window.
_SQUARED_HANN_OVERLAP = 1.5


@dataclass(frozen=True)
class Stft:
    """A transform with `n_fft` samples a window and a hop of a quarter of it."""

    n_fft: int
    window: Samples = field(init=False, repr=False)

    def __post_init__(self) -> None:
        phase = 2 * np.pi * np.arange(self.n_fft) / self.n_fft
        object.__setattr__(self, "window", (0.5 - 0.5 * np.cos(phase)).astype(np.float32))

    @property
    def hop(self) -> int:
        return self.n_fft // 4

    def frame_span(self, samples: int) -> tuple[int, int]:
        """First frame, and one past the last, of those that touch a signal of that many samples."""
        return -1, -(-samples // self.hop) + 2

    def analyse(self, read: Reader, first: int, stop: int) -> Spectrum:
        """The frames `first` to `stop` (exclusive) of a signal."""
        from scipy import fft

        start = first * self.hop - self.n_fft // 2
        signal = read(start, (stop - first - 1) * self.hop + self.n_fft)
        frames = np.lib.stride_tricks.sliding_window_view(signal, self.n_fft, axis=-1)[:, :: self.hop]
        spectrum: Spectrum = fft.rfft(frames * self.window, axis=-1).transpose(0, 2, 1)
        return spectrum


class Resynthesis:
    """Turn consecutive blocks of frames back into the signal, block by block.

    The frames must begin and end as `Stft.frame_span(samples)` says. What the blocks return, put together, is the whole signal.
    """

    def __init__(self, stft: Stft, samples: int, channels: int = 2):
        self._stft = stft
        first, _ = stft.frame_span(samples)
        self._position = first * stft.hop - stft.n_fft // 2
        self._samples = samples
        self._tail = np.zeros((channels, stft.n_fft - stft.hop), np.float32)

    def push(self, spectrum: Spectrum) -> Samples:
        """Add frames, and return the samples that no later frame touches."""
        from scipy import fft

        stft, hop = self._stft, self._stft.hop
        pieces = fft.irfft(spectrum.transpose(0, 2, 1), n=stft.n_fft, axis=-1) * (stft.window / _SQUARED_HANN_OVERLAP)
        channels, count, _ = pieces.shape
        signal = np.zeros((channels, count * hop + self._tail.shape[-1]), np.float32)
        signal[:, : self._tail.shape[-1]] = self._tail
        for quarter in range(4):
            part = pieces[:, :, quarter * hop : (quarter + 1) * hop].reshape(channels, count * hop)
            signal[:, quarter * hop : (quarter + count) * hop] += part
        self._tail = signal[:, count * hop :]
        finished = signal[:, max(0, -self._position) : min(count * hop, self._samples - self._position)]
        self._position += count * hop
        return finished


def spans(first: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """Cut the range `first` to `stop` into consecutive pieces of at most `length`."""
    for start in range(first, stop, length):
        yield start, min(start + length, stop)
