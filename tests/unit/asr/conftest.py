"""Words as heard, a recogniser that says what it is told to, songs in a store of their own, and golden files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, ModelUse, SongSource, StemSet, StepReport
from tasks.asr.recognizer import RecognizedSegment, RecognizedWord
from tasks.common import models
from tasks.common.audio import Samples, WavWriter
from tasks.common.settings import get_settings, reset_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the user's home, of another test, or of this machine's GPU."""
    monkeypatch.setenv("PERFORMIA_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PERFORMIA_OFFLINE", "true")
    monkeypatch.setenv("PERFORMIA_DEVICE", "cpu")
    reset_settings()
    models.unload_all()
    yield
    models.unload_all()
    reset_settings()


def _segment(text: str, start: float = 0.0, step: float = 0.5, window: float = 0.0, **scores: float) -> RecognizedSegment:
    """Words of equal length, one after another."""
    words = tuple(
        RecognizedWord(start + index * step, start + (index + 1) * step, f" {word}", scores.get("probability", 0.9))
        for index, word in enumerate(text.split())
    )
    return RecognizedSegment(window, words, scores.get("no_speech_prob", 0.1), scores.get("avg_logprob", -0.3))


@pytest.fixture
def segment() -> Callable[..., RecognizedSegment]:
    return _segment


class ScriptedRecognizer:
    """Says for each piece of sound what `script` says; remembers what it was given."""

    def __init__(self, script: Callable[[Samples], list[RecognizedSegment]], languages: tuple[str, ...] = ("en",), at_once: int = 1):
        self.at_once = at_once
        self.script = script
        self.languages = languages
        self.probabilities: list[dict[str, float]] = []
        self.decoded: list[tuple[float, str]] = []
        self.listened: list[float] = []

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        self.listened.append(len(samples) / 16000)
        return self.probabilities[(len(self.listened) - 1) % len(self.probabilities)]

    def decode(self, samples: Samples, language: str) -> Iterator[RecognizedSegment]:
        self.decoded.append((len(samples) / 16000, language))
        yield from self.script(samples)


@pytest.fixture
def recognizer() -> type[ScriptedRecognizer]:
    return ScriptedRecognizer


@pytest.fixture
def ctx() -> StepContext:
    settings = get_settings()
    return StepContext(store=ArtifactStore(settings.artifacts_url, settings.scratch_dir), settings=settings)


def _put(ctx: StepContext, samples: Samples) -> AudioRef:
    with ctx.store.temporary_dir() as folder:
        with WavWriter(folder / "audio.wav") as out:
            out.write(np.stack([samples, samples]).astype(np.float32))
        return ctx.store.add(out.path, out.ref())


@pytest.fixture
def song(ctx: StepContext, source_from: Callable[[AudioRef], SongSource]) -> Callable[[Samples, Samples], tuple[SongSource, StemSet]]:
    """A stored song and its stems from voice and accompaniment, (samples,) each at 44.1 kHz."""

    def make(voice: Samples, accompaniment: Samples) -> tuple[SongSource, StemSet]:
        mix, vocals, rest = _put(ctx, voice + accompaniment), _put(ctx, voice), _put(ctx, accompaniment)
        source = source_from(mix)
        report = StepReport(step="separation")
        stems = StemSet(report=report, vocals=vocals, drums=rest, bass=rest, other=rest, instrumental=rest, residual_db=-100.0)
        return source, stems

    return make


@pytest.fixture
def plan() -> Callable[..., StepPlan]:
    def make(*models_of_chain: str, engine: str = "faster-whisper", language: str | None = None) -> StepPlan:
        chain = tuple(EngineChoice(engine=engine, models=(ModelUse(name=name, digest="0", licence="MIT"),)) for name in models_of_chain)
        return StepPlan(step="asr", chain=chain, options={"language": language})

    return make


@pytest.fixture
def golden() -> Callable[[str], Any]:
    def read(name: str) -> Any:
        return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())

    return read
