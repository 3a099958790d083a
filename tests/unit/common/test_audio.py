"""Reading and writing stored audio."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.common.audio import WavWriter, blocks, read_mono, read_stereo
from tasks.common.errors import StorageError

RNG = np.random.default_rng(0)
SAMPLES = (RNG.normal(size=(2, 44100)) * 0.3).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    with WavWriter(tmp_path / "a.wav") as out:
        for start in range(0, 44100, 10007):
            out.write(SAMPLES[:, start : start + 10007])
    return out.path


def test_samples_survive_exactly_even_above_full_scale(tmp_path: Path) -> None:
    loud = np.array([[1.7, -2.3], [0.0, 1e-9]], np.float32)
    with WavWriter(tmp_path / "a.wav") as out:
        out.write(loud)
    np.testing.assert_array_equal(read_stereo(out.path), loud)


def test_the_reference_hashes_the_samples_however_they_were_cut(wav: Path, tmp_path: Path) -> None:
    with WavWriter(tmp_path / "b.wav") as out:
        out.write(SAMPLES)
    assert out.ref().sha256 == hashlib.sha256(np.ascontiguousarray(SAMPLES.T).tobytes()).hexdigest()
    with WavWriter(tmp_path / "c.wav") as again:
        for block in blocks(wav, 333):
            again.write(block)
    assert again.ref() == out.ref()


def test_a_part_of_a_file_is_read(wav: Path) -> None:
    np.testing.assert_array_equal(read_stereo(wav, 1000, 50), SAMPLES[:, 1000:1050])


def test_mono_is_the_mean(wav: Path) -> None:
    np.testing.assert_allclose(read_mono(wav), SAMPLES.mean(axis=0), atol=1e-7)


def test_mono_is_resampled_without_a_shift(tmp_path: Path) -> None:
    time = np.arange(3 * 44100) / 44100
    soundfile.write(tmp_path / "a.wav", np.column_stack([np.sin(2 * np.pi * 100 * time)] * 2), 44100, subtype="FLOAT")
    low = read_mono(tmp_path / "a.wav", 16000)
    assert len(low) == 48000
    np.testing.assert_allclose(low[4000:-4000], np.sin(2 * np.pi * 100 * np.arange(48000) / 16000)[4000:-4000], atol=1e-3)


def test_an_empty_file_gives_no_samples(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav") as out:
        pass
    assert read_mono(out.path).shape == (0,)
    assert read_mono(out.path, 16000).shape == (0,)
    assert list(blocks(out.path, 100)) == []


def test_blocks_are_the_file_in_order(wav: Path) -> None:
    parts = list(blocks(wav, 10_000))
    assert [part.shape for part in parts] == [(2, 10_000)] * 4 + [(2, 4_100)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), SAMPLES)


def test_one_channel_is_written_with_or_without_its_axis(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav", 16000, 1) as out:
        out.write(SAMPLES[0, :100])
        out.write(SAMPLES[:1, 100:200])
    np.testing.assert_array_equal(read_stereo(out.path), SAMPLES[:1, :200])
    assert (out.ref().channels, out.ref().sample_rate, out.ref().frames) == (1, 16000, 200)


def test_a_file_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        WavWriter(tmp_path / "none" / "a.wav")


def test_a_full_disk_is_a_transient_named_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda *args: (_ for _ in ()).throw(soundfile.LibsndfileError(2)))
    with WavWriter(tmp_path / "a.wav") as out, pytest.raises(StorageError, match="disk full") as caught:
        out.write(SAMPLES)
    assert caught.value.transient
    assert out.frames == 0
