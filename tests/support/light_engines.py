"""Engines that answer at once, in place of the heavy steps: for tests of whole runs.

In a test's own process the fixture `light_engines` puts them in place. In other processes, such as the runs that a service starts, it is
this folder's `sitecustomize` that does, where PYTHONPATH names this folder. There the environment says how they behave:

    LIGHT_SECONDS   how long each step takes (default 0)
    LIGHT_LOG       a file that gets a line at the start and at the end of each execution: `time kind step song pid`
    LIGHT_FAIL      "step:song id" pairs, comma separated: those executions fail
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from at_hand import WHISPER

from schemas import results as r
from schemas.options import AnalysisOptions
from schemas.steps import Step
from tasks.common.audio import WavWriter, read_stereo
from tasks.common.planning import make_plan

#: No engine of this choice falls back to anything where only the packaged models are, so that nothing is degraded offline.
AT_HAND = AnalysisOptions(engines={Step.separation: "spleeter", Step.asr: f"faster-whisper:{WHISPER}", Step.structure: "spectral"})


def report(step: str, ctx: Any, plan: Any) -> r.StepReport:
    engine = plan.expected.engine if plan.expected else ""
    return r.StepReport(step=step, engine=engine, seconds=0.01, flow_run=ctx.flow_run, degraded_because=())


def separate(source: r.SongSource, plan: Any, ctx: Any) -> r.StemSet:
    mix = read_stereo(ctx.store.path(source.audio))
    refs = {}
    with ctx.store.temporary_dir() as folder:
        for share, name in enumerate(("vocals", "drums", "bass", "other", "instrumental"), start=1):
            with WavWriter(folder / f"{name}.wav") as out:
                out.write(mix * np.float32(share / 10))
            refs[name] = ctx.store.add(out.path, out.ref())
    return r.StemSet(report=report("separation", ctx, plan), residual_db=-120.0, **refs)


def transcribe(source: r.SongSource, stems: r.StemSet | None, plan: Any, ctx: Any) -> r.Lyrics:
    word = r.Word(start=1.0, end=1.5, text="hello", confidence=0.9)
    line = r.LyricLine(start=1.0, end=1.5, text="hello", confidence=0.9, words=(word,))
    span = r.TimeSpan(start=0.9, end=1.6)
    heard = "vocals" if stems else "mix"
    return r.Lyrics(
        report=report("asr", ctx, plan), language="en", language_confidence=0.9, lines=(line,), voice_activity=(span,), input=heard
    )


def beats(source: r.SongSource, chords: r.Chords | None, plan: Any, ctx: Any) -> r.BeatsKey:
    grid = tuple(r.Beat(time=0.5 * i, position=i % 4 + 1, confidence=0.9) for i in range(8))
    whole = r.MeterSpan(start=0.0, end=4.0, numerator=4, denominator=4, confidence=0.9)
    key = r.KeySpan(start=0.0, end=4.0, tonic="A", mode="minor", confidence=0.8)
    tempo = r.Tempo(bpm_global=120.0, confidence=0.9, curve=(r.TempoPoint(time=0.0, bpm=120.0),), candidates=())
    return r.BeatsKey(
        report=report("beats_key", ctx, plan),
        beats=grid,
        tempo=tempo,
        meter=whole,
        meter_changes=(whole,),
        key_spans=(key,),
        global_key=key,
    )


def chords(source: r.SongSource, plan: Any, ctx: Any) -> r.Chords:
    chord = r.Chord(
        start=0.0,
        end=4.0,
        label="A:min",
        display="Am",
        root="A",
        quality="min",
        bass=None,
        confidence=0.8,
        start_beat=None,
        end_beat=None,
    )
    return r.Chords(report=report("chords", ctx, plan), chords=(chord,))


def part(name: str) -> Callable[..., r.Part]:
    def track(source: r.SongSource, stems: r.StemSet, plan: Any, ctx: Any) -> r.Part:
        note = r.Note(start=1.0, end=1.5, midi=57, cents=3.0, confidence=0.7)
        return r.Part(
            report=report(name, ctx, plan),
            part=name,
            notes=(note,),
            lowest_midi=57,
            highest_midi=57,
            polyphonic=False,
            polyphonic_share=0.0,
        )

    return track


def structure(source: r.SongSource, grid: Any, stems: Any, chords: Any, lyrics: Any, plan: Any, ctx: Any) -> r.Structure:
    section = r.Section(start=0.0, end=4.0, label="verse", index=1, group="A", confidence=0.5)
    return r.Structure(report=report("structure", ctx, plan), sections=(section,), coarse=(section,), fine=(section,))


#: In the order of the steps of a plan.
ENGINES: dict[str, Callable[..., Any]] = {
    "tasks.separation.separate.separate_song": separate,
    "tasks.asr.transcribe.transcribe_lyrics": transcribe,
    "tasks.beats_key.track_beats.track_beats_and_key": beats,
    "tasks.chords.recognize.recognize_chords": chords,
    "tasks.melody_bass.track_notes.track_melody": part("melody"),
    "tasks.melody_bass.track_notes.track_bass": part("bass"),
    "tasks.structure.detect.detect_structure": structure,
}


def using_gpu() -> tuple[str, ...]:
    """The names of the steps' functions of which a real engine would use a GPU: one of those that are at hand, and so in the plan."""
    found = []
    for target, (_, plan) in zip(ENGINES, make_plan(AnalysisOptions()), strict=True):
        module, _, function = target.rpartition(".")
        if any(importlib.import_module(module).ENGINES[choice.engine].uses_gpu for choice in plan.chain):
            found.append(function)
    return tuple(found)


def logged(target: str, *inputs: Any) -> Any:
    """Run one engine as the environment says."""
    step, source, ctx = target.rsplit(".", 1)[1], inputs[0], inputs[-1]
    _log("start", step, source.song_id)
    until = time.monotonic() + float(os.environ.get("LIGHT_SECONDS", "0"))
    while (left := until - time.monotonic()) > 0:
        ctx.progress(0.5, "thinking")
        time.sleep(min(left, 0.05))
    if f"{step}:{source.song_id}" in os.environ.get("LIGHT_FAIL", "").split(","):
        _log("fail", step, source.song_id)
        raise RuntimeError("told to fail")
    result = ENGINES[target](*inputs)
    _log("end", step, source.song_id)
    return result


def _log(kind: str, step: str, song: str) -> None:
    if file := os.environ.get("LIGHT_LOG"):
        line = f"{time.time():.3f} {kind} {step} {song} {os.getpid()}\n"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())  # one write: lines of several processes do not mix
        os.close(descriptor)
