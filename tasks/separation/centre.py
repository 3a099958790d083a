"""A rough voice out of a stereo mix, without any model: the last resort of the separation.

Three assumptions, each often wrong: the lead voice is panned to the centre, lies between 120 Hz and 10 kHz, and moves in pitch. The last
is FitzGerald's (DAFx 2010): in a spectrogram with a long window a voice smears over bins like percussion, with a short one it looks
harmonic. So what is percussive at a long window and harmonic at a short one is taken for the voice. Centred instruments leak into it; a
voice panned to the side is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tasks.common.audio import Samples, WavWriter
from tasks.separation.dsp import Magnitude, filtered, mean_magnitude, percussive_mask
from tasks.separation.stem_files import reader_of
from tasks.separation.stft import Reader, Spectrum, Stft

#: Windows of 370 and 23 ms at 44.1 kHz, after FitzGerald's multi-pass vocal separation (DAFx 2010, section 4).
LONG: Final = Stft(16384)
SHORT: Final = Stft(1024)
MEDIAN: Final = 17
LOWEST_HZ: Final = 120.0
HIGHEST_HZ: Final = 10000.0
#: How sharply a bin has to sit in the centre.
CENTRE_ORDER: Final = 2


def extract_voice(mix: Reader, samples: int, sample_rate: int, folder: Path) -> Iterator[Samples]:
    """Yield an estimate of the voice in blocks (2, frames). The first pass is kept as a file in `folder`."""
    with WavWriter(folder / "moving.wav", sample_rate, 2) as moving:
        for (block,) in filtered(LONG, mix, samples, lambda spectrum: (_moving_mask(spectrum),), MEDIAN // 2, block=128):
            moving.write(block)

    def masks(spectrum: Spectrum) -> tuple[Magnitude, ...]:
        harmonic = 1 - percussive_mask(mean_magnitude(spectrum), MEDIAN)
        return (harmonic * centre_mask(spectrum) * vocal_range(SHORT, sample_rate)[:, None],)

    for (voice,) in filtered(SHORT, reader_of(moving.path), samples, masks, MEDIAN // 2, block=2048):
        yield voice


def centre_mask(spectrum: Spectrum) -> Magnitude:
    """How much each bin of (2, bins, frames) sits in the centre: 1 where both channels agree, 0 where only one sounds or they oppose."""
    left, right = spectrum
    centre, side = np.abs(left + right), np.abs(left - right)
    share = np.maximum(centre - side, 0) / (centre + side + 1e-9)
    return np.asarray(share**CENTRE_ORDER, np.float32)


def vocal_range(stft: Stft, sample_rate: int) -> Magnitude:
    """Gain in each bin: 1 in the range of a voice, 0 outside."""
    hz = np.arange(stft.n_fft // 2 + 1) * sample_rate / stft.n_fft
    return np.asarray((hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ), np.float32)


def _moving_mask(spectrum: Spectrum) -> Magnitude:
    return percussive_mask(mean_magnitude(spectrum), MEDIAN)
