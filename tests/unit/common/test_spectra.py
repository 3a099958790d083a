from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.beats_key.activations import downbeat_networks, spectral_features
from tasks.common import spectra
from tasks.common.spectra import Shape, filtered_spectra, log_spectra, rises

SECONDS = 4.321


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Stereo: noise that comes and goes."""
    samples = 0.2 * np.random.default_rng(3).standard_normal((round(SECONDS * 44100), 2))
    samples *= np.sin(np.linspace(0, 20, len(samples)))[:, None]
    soundfile.write(tmp_path / "sound.wav", samples, 44100, subtype="FLOAT")
    return tmp_path / "sound.wav"


def by_madmom(path: Path, shape: Shape) -> np.ndarray:
    from madmom.audio.signal import FramedSignalProcessor, Signal
    from madmom.audio.spectrogram import FilteredSpectrogramProcessor, LogarithmicSpectrogramProcessor, SpectrogramDifferenceProcessor
    from madmom.audio.stft import ShortTimeFourierTransformProcessor
    from madmom.processors import SequentialProcessor

    samples = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    chain = SequentialProcessor(
        [
            FramedSignalProcessor(frame_size=shape.frame_size, fps=100),
            ShortTimeFourierTransformProcessor(),
            FilteredSpectrogramProcessor(num_bands=shape.bands, fmin=30, fmax=17000, norm_filters=True),
            LogarithmicSpectrogramProcessor(mul=1, add=1),
            SpectrogramDifferenceProcessor(diff_ratio=0.5, positive_diffs=True, stack_diffs=np.hstack),
        ]
    )
    return np.asarray(chain(Signal(samples, sample_rate=44100, num_channels=1)))


@pytest.mark.parametrize("shape", [Shape(1024, 3), Shape(2048, 6), Shape(2048, 12), Shape(4096, 12)])
def test_the_spectra_are_those_of_madmom(sound: Path, shape: Shape) -> None:
    (found,) = log_spectra(sound, [shape])
    np.testing.assert_allclose(np.hstack([found, rises(found, shape)]), by_madmom(sound, shape), atol=1e-5)


def test_blocks_leave_no_seams(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spectral_features(sound)
    monkeypatch.setattr(spectra, "_BLOCK_FRAMES", 37)
    monkeypatch.setattr(spectra, "_FFT_FRAMES", 5)
    np.testing.assert_allclose(spectral_features(sound), whole, atol=1e-6)


def test_the_networks_take_these_features(sound: Path) -> None:
    assert downbeat_networks().networks[0](spectral_features(sound)).shape == (-(-round(SECONDS * 44100) // 441), 3)


@pytest.mark.parametrize("frames", [0, 1, 440, 441, 442])
def test_files_of_hardly_any_samples(tmp_path: Path, frames: int) -> None:
    soundfile.write(tmp_path / "short.wav", np.ones((frames, 2)), 44100, subtype="FLOAT")
    found = log_spectra(tmp_path / "short.wav", [Shape(1024, 3), Shape(4096, 12)])
    assert [len(part) for part in found] == [-(-frames // 441)] * 2
    assert all(np.isfinite(part).all() for part in found)


def test_a_filter_reads_its_band(tmp_path: Path) -> None:
    time = np.arange(44100) / 44100
    soundfile.write(tmp_path / "tone.wav", np.stack([np.sin(2 * np.pi * 1000 * time)] * 2, axis=1), 44100, subtype="FLOAT")
    bins = np.arange(1024) * 44100 / 2048
    near = ((bins > 900) & (bins < 1100)).astype(np.float32)[:, None]
    inside, outside = filtered_spectra(tmp_path / "tone.wav", [near, 1 - near])
    assert (inside[10:-10] > 20 * outside[10:-10]).all()
