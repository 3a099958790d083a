"""Whether a stem sounds more than one pitch at a time, so that a single line cannot describe it.

In frames where the tracker hears a pitch, its harmonics are taken out of the spectrum, and the rest is searched for another pitch: the
highest sum over harmonics (harmonic summation, after Klapuri 2006). A frame has a second voice where that sum reaches a share of the first
pitch's own. What cannot be seen this way: a second voice at an octave, or at any other harmonic of the first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples
from tasks.melody_bass.pitch import HOP_SEC, FloatArray, PitchTrack

SAMPLE_RATE: Final = 16000
_FFT: Final = 4096  # 256 ms: tells E2 from F2, and harmonics of E1 apart
_EVERY: Final = 4  # frames of the pitch track between the looks: 64 ms
_CHUNK: Final = 256
_HARMONICS: Final = 6
_STEPS: Final = 4  # candidates per semitone
_NEAR_BINS: Final = 2  # half the main lobe of the Hann window
_TOP_HZ: Final = 4000.0

#: A second voice has at least this share of the first one's summed harmonics.
SECOND_VOICE: Final = 0.4
#: And lasts this many looks in a row (about a quarter of a second), which the echo of the note before does not.
_LASTING: Final = 4
#: Share of the voiced time from which a stem counts as polyphonic.
POLYPHONIC: Final = 0.5


def polyphonic_share(signal: Samples, track: PitchTrack, min_midi: float, max_midi: float) -> float:
    """Share of the voiced frames in [0, 1] that have a second pitch; 0 where nothing is voiced.

    signal: (samples,) at 16 kHz. track: its first pitch. min_midi, max_midi: where to look for the second.
    """
    looks = np.arange(0, len(track), _EVERY)
    looks = looks[(looks * HOP_SEC * SAMPLE_RATE) < len(signal)]
    voiced = track.voiced[looks]
    if not voiced.any():
        return 0.0
    second = np.zeros(len(looks), np.bool_)
    candidates = np.arange(min_midi, max_midi + 1e-9, 1 / _STEPS)
    where = np.flatnonzero(voiced)
    for start in range(0, len(where), _CHUNK):
        chunk = where[start : start + _CHUNK]
        frames = looks[chunk]
        second[chunk] = _has_second(_spectra(signal, frames), track.midi[frames], candidates)
    return float(np.sum(_lasting(second)) / np.sum(voiced))


def _spectra(signal: Samples, frames: npt.NDArray[np.int64]) -> FloatArray:
    """(frames, bins) magnitude spectra around the frames' centres."""
    centres = np.round(frames * HOP_SEC * SAMPLE_RATE).astype(np.int64)
    positions = centres[:, None] + np.arange(-_FFT // 2, _FFT // 2)
    inside = (positions >= 0) & (positions < len(signal))
    windows = np.where(inside, signal[np.clip(positions, 0, len(signal) - 1)], 0.0) * np.hanning(_FFT)
    return np.asarray(np.abs(np.fft.rfft(windows, axis=1)), np.float64)


def _harmonic_bins(midi: FloatArray) -> npt.NDArray[np.int64]:
    """(pitches, harmonics) bins of the harmonics, 0 (which stays empty) above the top frequency."""
    hz = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
    harmonics = hz[:, None] * np.arange(1, _HARMONICS + 1)
    return np.where(harmonics < _TOP_HZ, np.round(harmonics * _FFT / SAMPLE_RATE), 0).astype(np.int64)


def _has_second(spectra: FloatArray, midi: FloatArray, candidates: FloatArray) -> npt.NDArray[np.bool_]:
    # Root magnitudes: one strong partial must not make a voice.
    strength = np.sqrt(spectra)
    strength[:, 0] = 0.0
    peak = np.maximum(strength[:, 1:-1], np.maximum(strength[:, :-2], strength[:, 2:]))
    blurred = np.pad(peak, ((0, 0), (1, 1)))  # a harmonic may lie a bin off
    first = np.take_along_axis(blurred, _harmonic_bins(midi), axis=1).sum(axis=1)

    bins = np.arange(strength.shape[1]) * SAMPLE_RATE / _FFT
    hz = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
    order = np.maximum(np.round(bins / hz[:, None]), 1.0)
    width = _NEAR_BINS * SAMPLE_RATE / _FFT + 0.015 * order * hz[:, None]  # a quarter tone, for vibrato
    rest = np.where(np.abs(bins - order * hz[:, None]) <= width, 0.0, strength)
    # A second voice shows as peaks; the slopes left of what was taken out do not count.
    inner = rest[:, 1:-1]
    rest[:, 1:-1] = np.where((inner > strength[:, :-2]) & (inner >= strength[:, 2:]), inner, 0.0)
    rest = np.maximum(rest, np.maximum(np.roll(rest, 1, axis=1), np.roll(rest, -1, axis=1)))
    rest[:, 0] = 0.0
    salience = rest[:, _harmonic_bins(candidates)].sum(axis=2).max(axis=1)
    return np.asarray(salience >= SECOND_VOICE * np.maximum(first, 1e-12))


def _lasting(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Only the runs of True that last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.view(np.int8), [0]))))
    kept = np.zeros(len(flags), np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        kept[start:end] = end - start >= _LASTING
    return kept
