"""Beat This: the answers of the published package, chunks, and what becomes of its logits."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import beat_this_weights
import numpy as np
import pytest
import soundfile
import torch
from beat_this_weights import EXCERPT_SEC, GOLDEN, KEPT

from tasks.beats_key import beat_this_engine as engine
from tasks.beats_key.beat_grid import refine_peaks
from tasks.beats_key.beat_this_network import BeatThis, network_of
from tasks.common import models
from tasks.common.errors import ModelCorrupt
from tasks.common.settings import reset_settings


@pytest.fixture
def checkpoint_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file of seeded weights where the engine finds it."""
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(tmp_path / "models"))
    reset_settings()
    yield beat_this_weights.write_seeded(tmp_path / "models")
    models.unload_all()
    reset_settings()


class Pretended(torch.nn.Module):
    """Answers with the first two bands, and remembers how long the chunks were."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        self.lengths.append(len(spectrogram))
        return spectrogram[:, :2] + 100 * (len(self.lengths) - 1)


def test_a_song_has_the_logits_that_the_published_package_gives(checkpoint_file: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", beat_this_weights.excerpt(), 44100, subtype="FLOAT")
    fractions: list[float] = []
    found = engine.beat_logits(tmp_path / "song.wav", progress=lambda fraction, _="": fractions.append(fraction))
    np.testing.assert_allclose(found, np.load(GOLDEN)["logits"], atol=1e-4)
    assert found.std(axis=0).min() > 0.1
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_spectrogram_is_the_package_s(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", beat_this_weights.excerpt(), 44100, subtype="FLOAT")
    found = engine.log_mel(engine.read_mono(tmp_path / "song.wav", engine.SAMPLE_RATE))
    assert len(found) == 1 + round(EXCERPT_SEC * engine.SAMPLE_RATE) // engine.HOP
    np.testing.assert_allclose(found[::KEPT], np.load(GOLDEN)["spectrogram"], atol=1e-3)


def test_the_published_size_is_that_of_the_network() -> None:
    weights = sum(4 * parameter.numel() for parameter in BeatThis().parameters())
    assert 0 < models.get(engine.MODEL).size - weights < 0.002 * weights


@pytest.mark.parametrize("frames", [1, 7, 1487, 1488, 1489, 2976, 3101])
@pytest.mark.parametrize("size", [1.0, 0.5])
def test_chunks_join_without_a_gap_and_the_earlier_one_counts(frames: int, size: float) -> None:
    network = Pretended()
    chunk = round(size * engine.CHUNK_FRAMES)
    spectrogram = torch.arange(frames, dtype=torch.float32)[:, None].repeat(1, 3) / frames
    found = engine.logits_of(spectrogram, engine.Loaded(network, "cpu"), chunk)  # type: ignore[arg-type]
    kept = chunk - 2 * engine.BORDER_FRAMES
    assert len(network.lengths) == -(-frames // kept)
    assert set(network.lengths) == {min(chunk, frames + 2 * engine.BORDER_FRAMES)}
    expected = np.arange(frames) / frames + 100 * (np.arange(frames) // kept)
    np.testing.assert_allclose(found, np.column_stack([expected, expected]), atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 250, 513, 2000])
def test_the_shortest_sounds_have_frames_too(samples: int) -> None:
    found = engine.log_mel(np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32))
    assert found.shape == (1 + samples // engine.HOP, engine.BANDS)
    assert torch.isfinite(found).all()
    assert engine.activations_of(found[:, :2].numpy()).shape == (2 * len(found) - 1, 2)


def test_a_beat_lies_between_frames_where_the_logits_say() -> None:
    times = 0.5 + 0.5137 * np.arange(40)
    frames = np.arange(1100) / engine.NETWORK_FPS
    bumps = np.exp(-0.5 * ((frames[:, None] - times) / 0.02) ** 2).max(axis=1)
    activations = engine.activations_of(np.column_stack([-6 + 8 * bumps, -6 + 2 * bumps]).astype(np.float32))
    probability = activations.sum(axis=1).astype(np.float64)
    peaks = np.array([first + probability[first : first + 9].argmax() for first in np.round(times * 100).astype(int) - 4])
    np.testing.assert_allclose(refine_peaks(probability, peaks) / 100, times, atol=0.001)


def test_the_probability_of_a_downbeat_is_taken_from_that_of_a_beat() -> None:
    odds = np.array([[0.9, 0.2], [0.9, 0.8], [0.3, 0.4]])
    found = engine.activations_of(np.log(odds / (1 - odds)).astype(np.float32))
    assert len(found) == 5  # one between each two
    found = found[::2]
    np.testing.assert_allclose(found, [[0.7, 0.2], [0.1, 0.8], [0.0, 0.4]], atol=1e-6)


def test_names_that_compiling_has_changed_are_understood() -> None:
    plain = beat_this_weights.checkpoint()
    compiled = {name.replace("model.", "model._orig_mod.", 1): value for name, value in plain["state_dict"].items()}
    found = network_of({**plain, "state_dict": {**compiled, "beat_loss.pos_weight": torch.ones(1)}})
    assert torch.equal(found.state_dict()["frontend.linear.weight"], plain["state_dict"]["model.frontend.linear.weight"])
    assert not found.training


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harmed"),))


@pytest.mark.parametrize("content", ["pickle", "nothing", "another network"])
def test_only_weights_of_this_network_are_loaded(
    content: str, checkpoint_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content == "pickle":
        checkpoint_file.write_bytes(pickle.dumps(Harmful()))
    elif content == "nothing":
        checkpoint_file.write_bytes(b"")
    else:
        torch.save({"hyper_parameters": {}, "state_dict": {"model.weight": torch.ones(3)}}, checkpoint_file)
    with pytest.raises(ModelCorrupt, match=r"final0\.ckpt"):
        engine.load()
    assert not (tmp_path / "harmed").exists()
