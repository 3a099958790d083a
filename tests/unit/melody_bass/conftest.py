"""Synthetic notes, and golden files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from schemas.plan import EngineChoice, StepPlan
from schemas.results import AudioRef, Part, SongSource, StemSet, StepReport
from tasks.common import models
from tasks.common.audio import WavWriter
from tasks.common.step import StepContext

SAMPLE_RATE = 44100
Signal = npt.NDArray[np.float64]


@pytest.fixture
def golden() -> Callable[[str], Any]:
    def read(name: str) -> Any:
        return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())

    return read


@pytest.fixture
def play() -> Callable[..., Signal]:
    """Play notes one after the other: each sounds nine tenths of its time, with so many harmonics."""

    def sound(
        pitches: Sequence[float], note_sec: float = 0.4, harmonics: int = 8, rate: int = SAMPLE_RATE, level: float = 0.1, gap: float = 0.1
    ) -> Signal:
        parts = []
        for midi in pitches:
            time = np.arange(int(note_sec * (1 - gap) * rate)) / rate
            hz = 440 * 2 ** ((midi - 69) / 12)
            orders = [k for k in range(1, harmonics + 1) if k * hz < rate / 2]
            tone = np.sum([np.sin(2 * np.pi * hz * k * time) / k for k in orders], axis=0)
            fade = np.minimum(1, np.minimum(time / 0.01, (time[-1] - time) / 0.03))
            parts.append(np.concatenate([level * tone * fade, np.zeros(int(note_sec * rate) - len(time))]))
        return np.concatenate(parts)

    return sound


@pytest.fixture
def store_audio(ctx: StepContext) -> Callable[[Signal], AudioRef]:
    def store(signal: Signal) -> AudioRef:
        with ctx.store.temporary_dir() as folder:
            with WavWriter(folder / "signal.wav") as out:
                out.write(np.stack([signal, signal]).astype(np.float32))
            return ctx.store.add(out.path, out.ref())

    return store


@pytest.fixture
def track(ctx: StepContext, store_audio: Callable[[Signal], AudioRef]) -> Callable[..., Part]:
    """Run the step on a stem; the mix is the stem itself unless given."""
    from tasks.melody_bass.track_notes import track_bass, track_melody

    def run(
        part: str,
        stem: Signal,
        engines: Sequence[str] = ("swift-f0",),
        mix: Signal | None = None,
        helpers: Sequence[str] = (),
        drums: Signal | None = None,
        **options: Any,
    ) -> Part:
        stem_ref, mix_ref = store_audio(stem), store_audio(stem if mix is None else mix)
        report = StepReport(step="ingest")
        source = SongSource.model_construct(report=report, audio=mix_ref, duration_sec=mix_ref.duration_sec)
        drums_ref = store_audio(np.zeros_like(stem) if drums is None else drums)
        stems = StemSet.model_construct(report=report, vocals=stem_ref, bass=stem_ref, drums=drums_ref)
        used = tuple(models.expected_use(name) for name in helpers)
        chain = tuple(EngineChoice(engine=engine, models=used) for engine in engines)
        plan = StepPlan(step="melody" if part == "melody" else "bass", chain=chain, options=options)
        return (track_melody if part == "melody" else track_bass)(source, stems, plan, ctx)

    return run
