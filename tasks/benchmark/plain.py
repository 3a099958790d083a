"""The steps of one song as plain functions, one after the other, without Prefect: what the analysis itself costs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, Protocol

from schemas.options import AnalysisOptions
from schemas.results import StemSet
from tasks.common.planning import make_plan
from tasks.common.step import StepContext

STEPS: Final = ("ingest", "separation", "asr", "beats_key", "chords", "melody", "bass", "structure")


class Call(Protocol):
    """How a step's function is called with its inputs: for example with a clock in the hand."""

    def __call__(self, step: str, function: Callable[..., Any], *inputs: Any) -> Any: ...


def call_steps(
    song: Path, options: AnalysisOptions, ctx: StepContext, call: Call, only: Collection[str] = STEPS, given_stems: StemSet | None = None
) -> dict[str, Any]:
    """The results of the steps by name, in the order they ran.

    only: these steps, without what the others would tell them; ingest always runs. given_stems: what the steps after the separation hear
    instead of its own stems (for a separation with random weights, which gives noise). Raises what the steps raise.
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
        if name in only or name == "ingest":
            results[name] = call(name, function, *inputs)

    step("ingest", ingest.ingest_song, song, ctx, file_identity(song))
    source = results["ingest"]
    step("separation", separate.separate_song, source, plan.separation, ctx)
    stems = given_stems or results.get("separation")
    step("asr", transcribe.transcribe_lyrics, source, stems, plan.asr, ctx)
    step("beats_key", beats.track_beats_and_key, source, stems, plan.beats_key, ctx)
    step("chords", recognize.recognize_chords, source, stems, results.get("beats_key"), plan.chords, ctx)
    step("melody", parts.track_melody, source, stems, plan.melody, ctx)
    step("bass", parts.track_bass, source, stems, plan.bass, ctx)
    heard = (source, results.get("beats_key"), stems, results.get("chords"), results.get("asr"))
    step("structure", detect.detect_structure, *heard, plan.structure, ctx)
    return results
