"""The bare kernels: the steps of a song as plain functions in a new process, against the whole analysis in another one.

Run as a module it is the program that times them: `python -m tests.performance.bench.kernels SONG`. It prints JSON: for each step its
seconds (the engine's loading included), and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from schemas.options import AnalysisOptions, Quality
from schemas.results import BeatsKey, Chords, Lyrics, Part, SongSource, StemSet, StepResult, Structure
from schemas.steps import FINDING, Step, StepName
from tasks.common.step import local_context
from tests.performance.bench.plain import call_steps
from tests.performance.bench.processes import analyse, child, new_place, surroundings
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

#: What each step gives, by which kept results are read.
_RESULTS: Final[dict[str, type[StepResult]]] = {
    "ingest": SongSource,
    "separation": StemSet,
    "asr": Lyrics,
    "beats_key": BeatsKey,
    "chords": Chords,
    "melody": Part,
    "bass": Part,
    "structure": Structure,
}


def measure(request: Request) -> dict[str, Any]:
    """The whole song cold, and its bare kernels cold and warm, each side in a new process. Raises BenchmarkFailed."""
    song = request.song
    with new_place() as place:
        environment = surroundings(place)
        request.tell(f"kernels: {song.name} as plain functions, twice")
        kernels = run_kernels(song, [*request.words, "--twice"], environment)
    with new_place() as place:
        environment = surroundings(place)
        request.tell(f"kernels: {song.name} as a whole")
        whole, song_map = analyse(song, place, environment, request.words)
    cold = sum(kernels["cold_sec"].values())
    return {
        "song": song_map["title"],
        "duration_sec": round(song_map["duration_sec"], 1),
        **kernels,
        "sum_cold_sec": round(cold, 2),
        "sum_warm_sec": round(sum(kernels["warm_sec"].values()), 2),
        "whole_sec": round(whole.wall_sec, 2),
        "whole_times_kernels": round(whole.wall_sec / cold, 3) if cold else None,
    }


def report(figures: Mapping[str, Any]) -> str:
    cold, warm = figures["cold_sec"], figures["warm_sec"]
    rows = [(step, cold[step], warm.get(step)) for step in cold]
    rows.append(("sum", figures["sum_cold_sec"], figures["sum_warm_sec"]))
    rows.append(("whole song, in a new process", figures["whole_sec"], None))
    shown = table(("kernel", "cold s", "warm s"), rows)
    return f"{shown}\n\nThe whole song takes {figures['whole_times_kernels']} times the sum of its bare kernels (cold)."


def run_kernels(song: Path, words: Sequence[object], environment: Mapping[str, str]) -> dict[str, Any]:
    """This module's program in a new process: {"cold_sec": {step: seconds}, "warm_sec": ..., "peak_mib"}. Raises BenchmarkFailed."""
    return child("tests.performance.bench.kernels", f"The kernels of {song.name}", [song.resolve(), *words], environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("--quality", type=Quality, default=Quality.balanced)
    parser.add_argument("--engine", action="append", default=[])
    parser.add_argument("--steps", nargs="+", default=FINDING, help="only these, without what others would tell them")
    parser.add_argument("--twice", action="store_true", help="everything once more, with the models loaded")
    parser.add_argument("--keep-stems", type=Path, help="write down the separated stems")
    parser.add_argument("--given-stems", type=Path, help="stems that the later steps read instead of what separation made")
    parser.add_argument("--given-results", type=Path, help="results of an earlier run that each step gets of the others")
    parser.add_argument("--keep-results", type=Path, help="write down what each step found")
    arguments = parser.parse_args()
    chosen = {Step(step): engine for step, engine in (pair.split("=", 1) for pair in arguments.engine)}
    json.dump(_figures(arguments, AnalysisOptions(quality=arguments.quality, engines=chosen)), sys.stdout)
    return 0


def _figures(arguments: argparse.Namespace, options: AnalysisOptions) -> dict[str, Any]:
    given = _given(arguments)
    figures: dict[str, Any] = {}
    with local_context() as ctx:
        for name in ("cold_sec", "warm_sec") if arguments.twice else ("cold_sec",):
            figures[name], call = _stopwatch()
            results = call_steps(arguments.song, options, ctx, call, arguments.steps, given)
            if name == "cold_sec":
                _keep(results, arguments)
    # Kilobytes; bytes on macOS.
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return {**figures, "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale)}


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the steps are told instead of what those before them find."""
    given: dict[str, Any] = {}
    if arguments.given_results:
        found = json.loads(arguments.given_results.read_text(encoding="utf-8"))
        given = {step: _RESULTS[step].model_validate(result) for step, result in found.items()}
    if arguments.given_stems:
        given["separation"] = StemSet.model_validate_json(arguments.given_stems.read_text(encoding="utf-8"))
    return given


def _stopwatch() -> tuple[dict[str, float], Callable[..., Any]]:
    """The seconds by step, filled as the steps are called with what comes beside them."""
    seconds: dict[str, float] = {}

    def call(step: str, function: Callable[..., Any], *inputs: Any) -> Any:
        started = time.perf_counter()
        result = function(*inputs)
        seconds[step] = round(time.perf_counter() - started, 3)
        return result

    return seconds, call


def _keep(results: Mapping[StepName, Any], arguments: argparse.Namespace) -> None:
    if arguments.keep_stems:
        arguments.keep_stems.write_text(results["separation"].model_dump_json(), encoding="utf-8")
    if arguments.keep_results:
        found = {step: result.model_dump(mode="json") for step, result in results.items()}
        arguments.keep_results.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
