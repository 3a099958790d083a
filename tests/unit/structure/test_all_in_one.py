"""All-In-One: the same answers as an independent implementation, and attention as it is defined."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import all_in_one_weights
import numpy as np
import pytest
import seeded_network
import soundfile
import torch

from tasks.common import models
from tasks.common.networks.side_by_side import side_by_side
from tasks.common.networks.tensor_buffers import TensorBuffers
from tasks.common.settings import reset_settings
from tasks.common.spectra import FPS
from tasks.structure.allinone import engine
from tasks.structure.allinone.attention import WINDOW, attend_among_instruments, attend_in_time
from tasks.structure.allinone.contract import INSTRUMENTS
from tasks.structure.allinone.engine import infer, windows
from tasks.structure.allinone.network import AllInOne

#: What the network of the package all-in-one-infer 3.1.0 (MIT) answers to `seeded_network.spectra`: with the seeded weights, and with those
#: of the published fold 0.
GOLDEN = Path(__file__).parent / "golden" / "all_in_one.npz"
FOLD_0 = "harmonix-fold0-0vra4ys2.pth"


def answer(network: AllInOne, frames: int) -> np.ndarray:
    (logits,) = side_by_side([network.eval()], seeded_network.spectra(frames), "cpu")
    return seeded_network.kept(logits.beat, logits.downbeat, logits.section, logits.function)


@pytest.mark.parametrize("frames", [200, 10300], ids=["shorter than the windows", "longer"])
def test_the_network_answers_as_the_independent_one(frames: int) -> None:
    network = AllInOne()
    seeded_network.fill(network)
    np.testing.assert_allclose(answer(network, frames), np.load(GOLDEN)[f"seeded_{frames}"], atol=2e-5)


@pytest.mark.skipif(not all_in_one_weights.published(), reason="the published weights are not here")
@pytest.mark.parametrize("frames", [200, 10300])
def test_with_the_published_weights_too(frames: int) -> None:
    network = AllInOne()
    network.load_state_dict(torch.load(all_in_one_weights.PUBLISHED / FOLD_0, weights_only=True)["state_dict"])
    np.testing.assert_allclose(answer(network, frames), np.load(GOLDEN)[f"fold0_{frames}"], atol=1e-4)


def window_of(position: int, length: int, dilation: int) -> list[int]:
    """The positions that one attends to, by the definition: the nearest of its residue class, the window shifted inwards at the ends."""
    own_class = list(range(position % dilation, length, dilation))
    start = min(max(own_class.index(position) - WINDOW // 2, 0), len(own_class) - WINDOW)
    return own_class[start : start + WINDOW]


@pytest.mark.parametrize(("length", "dilation"), [(5, 1), (13, 2), (37, 4), (40, 8)])
def test_attention_in_time_is_what_its_definition_says(length: int, dilation: int) -> None:
    random = torch.Generator().manual_seed(length)
    query, key, value = torch.randn(3, 2, 3, 2, length, generator=random)
    bias = torch.randn(2, 2 * WINDOW - 1, generator=random)
    expected = torch.zeros_like(value)
    for t in range(length):
        near = window_of(t, length, dilation)
        steps = [(other - t) // dilation + WINDOW - 1 for other in near]
        scores = torch.einsum("hdi,hdik->hik", query[..., t], key[..., near]) + bias[:, None, steps]
        expected[..., t] = torch.einsum("hik,hdik->hdi", scores.softmax(-1), value[..., near])
    attended = torch.empty_like(expected)
    attend_in_time(query, key, value, bias, dilation, attended, TensorBuffers(query))
    torch.testing.assert_close(attended, expected)


@pytest.mark.parametrize("length", [5, 16, 17, 33, 70])
def test_attention_among_instruments_is_what_its_definition_says(length: int) -> None:
    random = torch.Generator().manual_seed(length)
    heads, size, instruments = 2, 3, 4
    query = torch.randn(heads, size, instruments, length, generator=random)
    key, value = torch.randn(2, heads, size, WINDOW, length, generator=random)
    bias = torch.randn(heads, 2 * WINDOW - 1, 2 * WINDOW - 1, generator=random)
    expected = torch.zeros_like(query)
    for t in range(length):
        near = window_of(t, length, 1)
        for i in range(instruments):
            between = torch.arange(WINDOW) - i + WINDOW - 1
            later = torch.tensor(near) - t + WINDOW - 1
            scores = torch.einsum("hd,hdwk->hwk", query[..., i, t], key[..., near]) + bias[:, between[:, None], later[None]]
            weights = scores.flatten(1).softmax(-1).view_as(scores)
            expected[..., i, t] = torch.einsum("hwk,hdwk->hd", weights, value[..., near])
    attended = torch.empty_like(expected)
    attend_among_instruments(query, key, value, bias, attended, TensorBuffers(query))
    torch.testing.assert_close(attended, expected)


def test_windows_tile_a_long_song_with_context() -> None:
    hour = 3600 * FPS
    spans = list(windows(hour, 600 * FPS, 60 * FPS))
    assert spans[0][1] == 0
    assert spans[-1][2] == hour
    assert all(before[2] == after[1] for before, after in itertools.pairwise(spans))
    for first, start, stop, last in spans:
        assert last - first <= 600 * FPS
        assert start - first == (60 * FPS if first else start)
        assert last - stop == (60 * FPS if last < hour else hour - stop)


def test_a_short_song_is_one_window() -> None:
    assert list(windows(18000, 60000, 6000)) == [(0, 0, 18000, 18000)]


@pytest.fixture
def seeded_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    all_in_one_weights.write_seeded(tmp_path / "models")
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(tmp_path / "models"))
    reset_settings()
    yield
    models.unload_all()
    reset_settings()


@pytest.mark.parametrize("seconds", [0.01, 1.0, 12.34])
def test_every_frame_of_four_stems_has_probabilities(seeded_weights: None, tmp_path: Path, seconds: float) -> None:
    random = np.random.default_rng(0)
    stems = {}
    for name in INSTRUMENTS:
        stems[name] = tmp_path / f"{name}.wav"
        soundfile.write(stems[name], 0.1 * random.normal(size=(round(seconds * 44100), 2)), 44100, subtype="FLOAT")
    activations = infer(stems)
    assert len(activations.section) == max(8, round(np.ceil(seconds * FPS)))
    assert activations.function.shape == (10, len(activations.section))
    np.testing.assert_allclose(activations.function.sum(axis=0), 1.0, atol=1e-5)
    for probability in (activations.beat, activations.downbeat, activations.section):
        assert ((probability > 0) & (probability < 1)).all()


def test_a_long_song_in_windows_is_heard_as_in_one(seeded_weights: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    stems = {}
    for name in INSTRUMENTS:
        stems[name] = tmp_path / f"{name}.wav"
        soundfile.write(stems[name], 0.1 * random.normal(size=(24 * 44100, 2)), 44100, subtype="FLOAT")
    one_fold = engine.load("cpu")[:1]
    monkeypatch.setattr(engine, "load", lambda device, progress: one_fold)
    whole = infer(stems)
    monkeypatch.setattr(engine, "_WINDOW_SEC", 20)
    monkeypatch.setattr(engine, "_CONTEXT_SEC", 6)
    # The outermost layers look farther than the context; what they see there weighs little.
    assert np.abs(infer(stems).section - whole.section).max() < 0.1
    assert np.abs(infer(stems, size=0.5).section - whole.section).max() < 0.1


@pytest.mark.parametrize(
    ("song_sec", "size", "window_sec"), [(200, 1.0, 600), (2000, 1.0, 600), (2000, 0.5, 300), (500, 0.5, 250), (200, 0.5, 180)]
)
def test_smaller_windows_are_shorter_than_the_song_and_more_than_context(song_sec: int, size: float, window_sec: int) -> None:
    assert engine.window_frames(song_sec * FPS, size) == window_sec * FPS
    spans = list(windows(song_sec * FPS, window_sec * FPS, 60 * FPS))
    assert (spans[0][1], spans[-1][2]) == (0, song_sec * FPS)
    assert all(before[2] == after[1] for before, after in itertools.pairwise(spans))
    assert max(last - first for first, _, _, last in spans) <= window_sec * FPS
