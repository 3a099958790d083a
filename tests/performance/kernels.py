"""The steps of one song as plain functions, without Prefect: what the analysis itself costs. Run by race.py in a process of its own.

usage: python tests/performance/kernels.py SONG [--engine step=name]... [--keep-stems FILE | --hear-stems FILE] [--steps step...] [--twice]

Prints JSON: for each step its seconds (the engine's loading included), and the peak memory. --keep-stems writes down the separated stems;
--hear-stems lets the later steps hear those instead of the separation's own (for a separation with random weights, which gives noise).
--steps: only these, without what the others would tell them. --twice: everything once more with the models loaded.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.options import AnalysisOptions, Step
from schemas.results import StemSet
from tasks.common.planning import make_plan
from tasks.common.step import StepContext, local_context

ALL = ["separation", "asr", "beats_key", "chords", "melody", "bass", "structure"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("--engine", action="append", default=[])
    parser.add_argument("--keep-stems", type=Path)
    parser.add_argument("--hear-stems", type=Path)
    parser.add_argument("--steps", nargs="+", default=ALL)
    parser.add_argument("--twice", action="store_true")
    arguments = parser.parse_args()
    chosen = {Step(step): engine for step, engine in (pair.split("=", 1) for pair in arguments.engine)}
    options = AnalysisOptions(engines=chosen)
    with local_context() as ctx:
        result: dict[str, Any] = {"cold": run_steps(arguments, options, ctx)}
        if arguments.twice:
            result["warm"] = run_steps(arguments, options, ctx)
    result["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    json.dump(result, sys.stdout)
    return 0


def run_steps(arguments: argparse.Namespace, options: AnalysisOptions, ctx: StepContext) -> dict[str, float]:
    """Seconds of every wanted step of the song, one step after the other."""
    from tasks.asr.transcribe import transcribe_lyrics
    from tasks.beats_key.track import track_beats_and_key
    from tasks.chords.recognize import recognize_chords
    from tasks.ingest.checks import file_identity
    from tasks.ingest.ingest import ingest_song
    from tasks.melody_bass.track import track_bass, track_melody
    from tasks.separation.separate import separate_song
    from tasks.structure.detect import detect_structure

    seconds: dict[str, float] = {}

    def timed(step: str, run: Callable[..., Any], *inputs: Any) -> Any:
        if step not in (*arguments.steps, "ingest"):
            return None
        started = time.perf_counter()
        result = run(*inputs)
        seconds[step] = round(time.perf_counter() - started, 2)
        return result

    plan = make_plan(options)
    source = timed("ingest", ingest_song, arguments.song, ctx, file_identity(arguments.song))
    stems = timed("separation", separate_song, source, plan.separation, ctx)
    if arguments.keep_stems:
        arguments.keep_stems.write_text(stems.model_dump_json(), encoding="utf-8")
    if arguments.hear_stems:
        stems = StemSet.model_validate_json(arguments.hear_stems.read_text(encoding="utf-8"))
    lyrics = timed("asr", transcribe_lyrics, source, stems, plan.asr, ctx)
    beats = timed("beats_key", track_beats_and_key, source, stems, plan.beats_key, ctx)
    chords = timed("chords", recognize_chords, source, stems, beats, plan.chords, ctx)
    timed("melody", track_melody, source, stems, plan.melody, ctx)
    timed("bass", track_bass, source, stems, plan.bass, ctx)
    timed("structure", detect_structure, source, beats, stems, chords, lyrics, plan.structure, ctx)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
