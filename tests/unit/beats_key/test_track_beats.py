"""The step: from an engine's findings to the typed result, and what happens when engines fail."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, Chords, SongSource, StepReport
from tasks.beats_key import beat_this_engine, track_beats
from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.key import KeyPosteriors
from tasks.common import models
from tasks.common.audio import WavWriter
from tasks.common.errors import EngineFailed, ModelUnavailable, OptionInvalid, PerformiaError
from tasks.common.placement import Placement
from tasks.common.progress import silent
from tasks.common.settings import Settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore

DURATION = 20.0


@pytest.fixture
def ctx(tmp_path: Path) -> StepContext:
    return StepContext(store=ArtifactStore(str(tmp_path / "artifacts"), tmp_path / "scratch"), settings=Settings(data_dir=tmp_path))


@pytest.fixture
def make_source(ctx: StepContext, source_from: Callable[[AudioRef], SongSource]) -> Callable[[np.ndarray], SongSource]:
    def make(samples: np.ndarray) -> SongSource:
        with ctx.store.temporary_dir() as folder, WavWriter(folder / "song.wav") as out:
            out.write(np.stack([samples, samples]).astype(np.float32))
            out.close()
            ref: AudioRef = ctx.store.add(out.path, out.ref())
        return source_from(ref)

    return make


def plan(*engines: str, **options: float) -> StepPlan:
    return StepPlan(step="beats_key", chain=tuple(EngineChoice(engine=engine) for engine in engines), options=dict(options))


def found(times: np.ndarray) -> track_beats.Found:
    count = len(times)
    grid = BeatGrid(times, np.arange(count) % 4 + 1, np.full(count, 0.8), np.full(count, 4), 0.9)
    probability = np.full(int(DURATION * 100), 0.3)
    return track_beats.Found(grid, probability, 100, KeyPosteriors(np.array([0.0]), DURATION, np.eye(24)[[7]]))


def test_beats_lie_in_the_song_and_ascend():
    times = np.concatenate([[-0.02, 0.5], 0.5 * np.arange(1, 41), [DURATION + 0.01]])
    result = track_beats.build_result(found(times), DURATION, StepReport(step="beats_key"))
    beats = [beat.time for beat in result.beats]
    assert beats[0] == 0.0
    assert beats[-1] < DURATION
    assert all(later > earlier for earlier, later in itertools.pairwise(beats))


def test_the_result_is_whole():
    result = track_beats.build_result(found(0.5 * np.arange(40)), DURATION, StepReport(step="beats_key"))
    assert result.tempo.bpm_global == pytest.approx(120)
    assert (result.meter.numerator, result.meter.denominator) == (4, 4)
    assert (result.meter_changes[0].start, result.meter_changes[-1].end) == (0.0, DURATION)
    assert result.global_key is not None
    assert (result.global_key.tonic, result.global_key.mode) == ("G", "major")
    assert set(result.downbeats) <= {beat.time for beat in result.beats}


def test_a_song_without_pulse_and_pitch_gives_an_empty_result():
    nothing = track_beats.Found(BeatGrid.empty(), np.zeros(2000), 100, KeyPosteriors(np.array([0.0]), DURATION, np.full((1, 24), 1 / 24)))
    result = track_beats.build_result(nothing, DURATION, StepReport(step="beats_key"))
    assert result.beats == ()
    assert result.tempo.bpm_global is None
    assert result.meter.confidence == 0
    assert result.global_key is None


def test_the_next_engine_takes_over_and_the_report_says_why(ctx, make_source, monkeypatch):
    def broken(*_: object) -> track_beats.Found:
        raise RuntimeError("no weights")

    monkeypatch.setattr(track_beats, "find_with_madmom", broken)
    monkeypatch.setattr(track_beats, "find_with_librosa", lambda *_: found(0.5 * np.arange(40)))
    result = track_beats.track_beats_and_key(make_source(np.zeros(44100 * 20)), None, plan("madmom", "librosa"), ctx)
    assert result.report.status == "degraded"
    assert result.report.engine == "librosa"
    assert "no weights" in result.report.degraded_because[0]


def test_without_a_working_engine_the_step_fails(ctx, make_source, monkeypatch):
    def broken(*_: object) -> track_beats.Found:
        raise RuntimeError("no weights")

    monkeypatch.setattr(track_beats, "find_with_madmom", broken)
    with pytest.raises(EngineFailed, match="no weights"):
        track_beats.track_beats_and_key(make_source(np.zeros(44100)), None, plan("madmom"), ctx)


def test_beat_this_has_its_beats_from_its_network_its_key_from_the_harmony_and_nothing_from_madmom(
    ctx, make_source, make_activations, monkeypatch
):
    time = np.arange(round(44100 * DURATION)) / 44100
    chord = sum(0.1 * np.sin(2 * np.pi * 440 * 2 ** ((note - 69) / 12) * time) for note in (55, 59, 62, 67, 71))
    mix = ctx.store.path(make_source(chord).audio)
    times = np.arange(0.5, DURATION - 0.2, 0.5)
    heard = make_activations(times, np.arange(len(times)) % 4 + 1, DURATION)
    asked = []

    def hear(file: Path, device: str, size: float, _: object) -> np.ndarray:
        asked.append((file, device, size))
        return heard.astype(np.float32)

    def refuse(name: str, *_: object) -> Path:
        raise ModelUnavailable(f"{name} is not here")

    monkeypatch.setattr(beat_this_engine, "beat_activations", hear)
    monkeypatch.setattr(models, "obtain", refuse)
    result = track_beats.find_with_beat_this(Placement("cuda", 0.5), mix, None, 40.0, 240.0, silent)
    np.testing.assert_allclose(result.grid.times, times, atol=0.006)
    assert result.keys.probabilities.mean(axis=0).argmax() == 7  # G major
    assert asked == [(mix, "cuda", 0.5)]


def test_a_missing_file_is_named(ctx, make_source):
    source = make_source(np.zeros(44100))
    ctx.store.path(source.audio).unlink()
    with pytest.raises(PerformiaError):
        track_beats.track_beats_and_key(source, None, plan("librosa"), ctx)


@pytest.mark.parametrize("engine", ["madmom", "librosa"])
def test_an_engine_is_told_the_chords_that_were_heard(engine, ctx, make_source, monkeypatch):
    heard = Chords(report=StepReport(step="chords"), chords=())
    told: list[object] = []

    def find(_path: object, chords: object, *_: object) -> track_beats.Found:
        told.append(chords)
        return found(0.5 * np.arange(40))

    monkeypatch.setattr(track_beats, f"find_with_{engine}", find)
    for chords in (heard, None):
        track_beats.track_beats_and_key(make_source(np.zeros(44100)), chords, plan(engine), ctx)
    assert told == [heard, None]


def test_no_pulse_is_worth_a_warning(ctx, make_source, monkeypatch):
    nothing = track_beats.Found(BeatGrid.empty(), np.zeros(100), 100, KeyPosteriors(np.zeros(0), 0.0, np.zeros((0, 24))))
    monkeypatch.setattr(track_beats, "find_with_madmom", lambda *_: nothing)
    result = track_beats.track_beats_and_key(make_source(np.zeros(44100)), None, plan("madmom"), ctx)
    assert "No steady pulse" in result.report.warnings[0]


def test_the_tempo_range_comes_from_the_options():
    assert track_beats.tempo_range(plan("madmom")) == (40.0, 240.0)
    assert track_beats.tempo_range(plan("madmom", min_bpm=70, max_bpm=140)) == (70.0, 140.0)
    assert track_beats.tempo_range(plan("madmom", min_bpm=70)) == (70.0, 240.0)
    with pytest.raises(OptionInvalid, match="min_bpm"):
        track_beats.tempo_range(plan("madmom", min_bpm=140, max_bpm=70))


def clicks(bpm: float, seconds: float = 20.0) -> np.ndarray:
    """A metronome in 4/4."""
    samples = 1e-4 * np.random.default_rng(0).standard_normal(round(seconds * 44100))
    time = np.arange(2205) / 44100
    for beat, at in enumerate(np.arange(0.5, seconds - 0.2, 60 / bpm)):
        click = 0.6 * np.sin(2 * np.pi * (1000 if beat % 4 else 1500) * time) * np.exp(-time / 0.01)
        samples[round(at * 44100) :][: len(click)] += click
    return samples


@pytest.mark.parametrize("engine", ["madmom", "librosa"])
@pytest.mark.parametrize(
    ("bpm", "options", "expected"),
    [
        (80, {}, 80),
        (80, {"min_bpm": 100}, 160),
        (80, {"min_bpm": 159, "max_bpm": 161}, 160),
        (160, {"max_bpm": 100}, 80),
        (120, {"max_bpm": 70}, 60),
        (80, {"min_bpm": 100, "max_bpm": 150}, None),  # no octave of it is there
        (120, {"min_bpm": 70, "max_bpm": 110}, None),
    ],
)
def test_the_tempo_of_a_metronome_is_its_octave_in_the_range(ctx, make_source, engine, bpm, options, expected):
    found = track_beats.track_beats_and_key(make_source(clicks(bpm)), None, plan(engine, **options), ctx)
    assert found.report.engine == engine
    if expected is None:
        assert found.tempo.bpm_global is None
        assert found.beats == ()
        assert f"between {options['min_bpm']} and {options['max_bpm']} bpm" in found.report.warnings[0]
    else:
        assert found.tempo.bpm_global == pytest.approx(expected, rel=0.005)
        np.testing.assert_allclose(np.diff([beat.time for beat in found.beats]), 60 / expected, atol=0.03)
        assert {beat.position for beat in found.beats} >= {1, 2, 3}
