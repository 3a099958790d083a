"""Beats, tempo, meter and key of real sound with the real engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import beat_this_weights
import mir_eval
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, BeatsKey, SongSource
from tasks.beats_key.activations import beat_activations
from tasks.beats_key.track_beats import track_beats_and_key
from tasks.common import models
from tasks.common.audio import WavWriter, read_mono
from tasks.common.settings import Settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore

DEMO = Path(__file__).parent.parent / "demo_song"
Track = Callable[..., BeatsKey]


@pytest.fixture(scope="module")
def annotated() -> dict[str, Any]:
    annotations: dict[str, Any] = json.loads((DEMO / "demo_song.json").read_text())
    return annotations


@pytest.fixture(scope="module")
def demo_samples() -> npt.NDArray[np.float32]:
    samples, rate = soundfile.read(DEMO / "demo_song.ogg", dtype="float32", always_2d=True)
    assert rate == 44100
    return np.ascontiguousarray(samples.T)


@pytest.fixture
def wav(tmp_path: Path) -> Callable[[npt.NDArray[np.floating]], Path]:
    def write(samples: npt.NDArray[np.floating]) -> Path:
        soundfile.write(tmp_path / "song.wav", samples.T.astype(np.float32), 44100, subtype="FLOAT")
        return tmp_path / "song.wav"

    return write


@pytest.fixture
def track(tmp_path: Path, source_from: Callable[[AudioRef], SongSource]) -> Track:
    def run(samples: npt.NDArray[np.floating], engine: str = "madmom") -> BeatsKey:
        fractions: list[float] = []
        ctx = StepContext(
            store=ArtifactStore(str(tmp_path / "artifacts"), tmp_path / "scratch"),
            settings=Settings(data_dir=tmp_path),
            progress=lambda fraction, _="": fractions.append(fraction),
        )
        with ctx.store.temporary_dir() as folder:
            with WavWriter(folder / "song.wav") as out:
                out.write(np.broadcast_to(np.atleast_2d(samples), (2, samples.shape[-1])).astype(np.float32))
            ref = ctx.store.add(out.path, out.ref())
        source = source_from(ref)
        result = track_beats_and_key(source, None, StepPlan(step="beats_key", chain=(EngineChoice(engine=engine),)), ctx)
        assert fractions == sorted(fractions)
        return result

    return run


@pytest.mark.parametrize(
    ("engine", "beat_f", "downbeat_f"), [("madmom", 0.97, 0.97), pytest.param("librosa", 0.9, 0.9, marks=pytest.mark.slow)]
)
def test_the_demo_song_is_tracked(track: Track, demo_samples, annotated, engine, beat_f, downbeat_f, capfd):
    result = track(demo_samples, engine)
    beats = np.array([beat.time for beat in result.beats])
    assert mir_eval.beat.f_measure(np.array(annotated["beats"]), beats) >= beat_f
    assert mir_eval.beat.f_measure(np.array(annotated["downbeats"]), np.array(result.downbeats)) >= downbeat_f
    assert result.tempo.bpm_global == pytest.approx(annotated["bpm"], rel=0.002)
    assert f"{result.meter.numerator}/{result.meter.denominator}" == annotated["meter"]
    assert result.global_key is not None
    assert {"tonic": result.global_key.tonic, "mode": result.global_key.mode} == annotated["key"]
    assert len(result.key_spans) == 1
    assert capfd.readouterr() == ("", "")


def test_beat_this_tracks_the_demo_song_with_weights_that_make_it_an_onset_detector(
    track: Track, demo_samples, annotated, tmp_path, monkeypatch
):
    """The published weights cannot be had here. That the network answers as the published package is a unit test."""
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(tmp_path / "models"))
    reset_settings()
    beat_this_weights.write(tmp_path / "models", beat_this_weights.onset_detector())
    result = track(demo_samples[:, : 44100 * 40], "beat-this")
    models.unload_all()
    assert (result.report.engine, result.report.status, result.report.device) == ("beat-this", "ok", "cpu")
    true, beats = np.array([time for time in annotated["beats"] if time < 40]), np.array([beat.time for beat in result.beats])
    assert mir_eval.beat.f_measure(true, beats) >= 0.97
    late = [float(beats[np.abs(beats - time).argmin()] - time) for time in true]
    assert abs(np.median(late)) < 0.005
    assert result.global_key is not None
    assert (result.global_key.tonic, result.global_key.mode) == ("G", "major")


def test_activations_are_those_of_madmom(wav, demo_samples):
    downbeats = pytest.importorskip("madmom.features.downbeats")
    from madmom.audio.signal import Signal

    path = wav(demo_samples[:, : 44100 * 40])
    theirs = downbeats.RNNDownBeatProcessor()(Signal(read_mono(path), sample_rate=44100, num_channels=1))
    np.testing.assert_allclose(beat_activations(path), theirs, atol=2e-3)


@pytest.mark.parametrize("engine", ["madmom", "librosa"])
@pytest.mark.parametrize("sound", ["noise", "silence", "drone", "shortest"])
def test_sound_without_a_pulse_has_no_beats(track: Track, engine, sound):
    time = np.arange(44100 * 12) / 44100
    samples = {
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(time)),
        "silence": np.zeros(len(time)),
        "drone": 0.2 * np.sin(2 * np.pi * 110 * time) + 0.1 * np.sin(2 * np.pi * 165 * time),
        "shortest": 0.1 * np.random.default_rng(0).standard_normal(500),
    }[sound]
    result = track(samples, engine)
    assert result.beats == ()
    assert result.tempo.bpm_global is None
    assert (result.meter.numerator, result.meter.denominator, result.meter.confidence) == (4, 4, 0.0)
    if sound in ("noise", "silence"):
        assert result.key_spans == ()
        assert result.global_key is None


def test_clicks_have_a_tempo_but_no_key(track: Track):
    rng = np.random.default_rng(0)
    click = np.exp(-np.arange(2000) / 300) * rng.standard_normal(2000) * 0.5
    samples = np.zeros(44100 * 20)
    for start in range(0, len(samples) - 2000, 22050):
        samples[start : start + 2000] += click
    result = track(samples)
    assert result.tempo.bpm_global == pytest.approx(120, rel=0.002)
    assert result.global_key is None


def test_the_same_song_gives_the_same_result(track: Track, demo_samples):
    part = demo_samples[:, : 44100 * 30]
    assert track(part).content_hash() == track(part).content_hash()
