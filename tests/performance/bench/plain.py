"""The steps of one song as plain functions, one after the other, without Prefect: what the analysis itself costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from schemas.options import AnalysisOptions
from tasks.common.planning import make_plan
from tasks.common.step import StepContext

STEPS: Final = ("ingest", "separation", "asr", "beats_key", "chords", "melody", "bass", "structure")


class Call(Protocol):
    """How a step's function is called with its inputs: for example with a clock in the hand."""

    def __call__(self, step: str, function: Callable[..., Any], *inputs: Any) -> Any: ...


def call_steps(
    song: Path,
    options: AnalysisOptions,
    ctx: StepContext,
    call: Call,
    only: Collection[str] = STEPS,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The results of the steps by name, in the order they ran.

    only: these steps, and ingest where it is not given. given: results by step that the other steps are told instead of what the step found
    this time, or would have found (a separation with random weights gives noise). Raises what the steps raise.
    """
    from tasks.asr import transcribe
    from tasks.beats_key import track as beats
    from tasks.chords import recognize
    from tasks.ingest import ingest
    from tasks.ingest.checks import file_identity
    from tasks.melody_bass import track as parts
    from tasks.separation import separate
    from tasks.structure import detect

    plan = make_plan(options)
    results: dict[str, Any] = {}

    def step(name: str, function: Callable[..., Any], *inputs: Any) -> None:
        if name in only or (name == "ingest" and name not in given):
            results[name] = call(name, function, *inputs)

    def found(name: str) -> Any:
        return given[name] if name in given else results.get(name)

    step("ingest", ingest.ingest_song, song, ctx, file_identity(song))
    source = found("ingest")
    step("separation", separate.separate_song, source, plan.separation, ctx)
    stems = found("separation")
    step("asr", transcribe.transcribe_lyrics, source, stems, plan.asr, ctx)
    step("beats_key", beats.track_beats_and_key, source, stems, plan.beats_key, ctx)
    step("chords", recognize.recognize_chords, source, stems, found("beats_key"), plan.chords, ctx)
    step("melody", parts.track_melody, source, stems, plan.melody, ctx)
    step("bass", parts.track_bass, source, stems, plan.bass, ctx)
    heard = (source, found("beats_key"), stems, found("chords"), found("asr"))
    step("structure", detect.detect_structure, *heard, plan.structure, ctx)
    return results
