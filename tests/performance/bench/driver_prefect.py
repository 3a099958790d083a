"""What Prefect adds to one song: the program that the part `prefect` of the benchmark runs in a new process.

    python -m tests.performance.bench.driver_prefect SONG OUT [--quality NAME] [--engine STEP=NAME]... [--times 7]

The song is analysed once as it is. Then every step's function answers at once with what it found that time, so that what is timed is what
is around the steps: once as runs of the flow `analyze-song` against a server as `performia serve` runs it, once as plain function calls.
Prints JSON. Its data directory and Prefect's home are those of its environment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from schemas.options import AnalysisOptions, Quality
from schemas.steps import FINDING, Step
from tasks.common.settings import get_settings, reset_settings
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.plain import call_steps


class Recorder:
    """Stands in the steps' places: at first it lets them work and notes what they found; once told to, it answers with that at once."""

    def __init__(self) -> None:
        self.replay = False
        self.called: list[str] = []
        self._found: dict[str, Any] = {}

    def install(self) -> None:
        from flows.song_analysis import STEP_TASKS

        for name, task in STEP_TASKS.items():
            task.body = self._standing_for(name, task.body)

    def _standing_for(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(*inputs: Any) -> Any:
            self.called.append(name)
            if self.replay:
                return self._found[name]
            self._found[name] = found = function(*inputs)
            return found

        return stand_in


class Timing:
    """Seconds of analyses of one song, each written into a folder of its own."""

    def __init__(self, song: Path, out: Path, options: AnalysisOptions, recorder: Recorder):
        self._song, self._out, self._options, self._recorder = song, out, options, recorder
        self._runs = 0

    def flow(self, again: bool = False) -> float:
        """As a run of the flow. again: into the same folder as the last. Raises what it raises."""
        from flows.song_analysis import analyze_song

        folder = self._out / str(self._runs) if again else self._folder()
        return self._timed(lambda: analyze_song(self._song, self._options, folder))

    def plain(self) -> float:
        """As plain function calls with the same packaging."""
        from tasks.common.step import local_context
        from tasks.packager.package import package

        def analyse() -> None:
            with local_context() as ctx:
                found = call_steps(self._song, self._options, ctx, lambda _, function, *inputs: function(*inputs))
                package(found, self._song.name, self._folder(), self._options, ctx)

        return self._timed(analyse)

    def expect(self, *steps: str) -> None:
        """Raises BenchmarkFailed where other steps were called since the last time than must have been."""
        called = self._recorder.called
        self._recorder.called = []
        if sorted(called) != sorted(steps):
            wrong = ", ".join(sorted({name for name in (*called, *steps) if called.count(name) != steps.count(name)}))
            raise BenchmarkFailed(f"Called {len(called)} steps instead of {len(steps)}: something failed or was cached ({wrong})")

    def _timed(self, analyse: Callable[[], Any]) -> float:
        started = time.perf_counter()
        analyse()
        return time.perf_counter() - started

    def _folder(self) -> Path:
        self._runs += 1
        return self._out / str(self._runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path, help="a folder for what is written; thrown away by whoever made it")
    parser.add_argument("--quality", type=Quality, default=Quality.balanced)
    parser.add_argument("--engine", action="append", default=[])
    parser.add_argument("--times", type=int, default=7)
    arguments = parser.parse_args()
    engines = {Step(step): name for step, name in (pair.split("=", 1) for pair in arguments.engine)}
    quiet_prefect()
    with EmbeddedApi.of_settings(lasting=True):
        recorder = Recorder()
        recorder.install()
        options = AnalysisOptions(quality=arguments.quality, engines=engines)
        try:
            figures = measure(Timing(arguments.song, arguments.out, options, recorder), recorder, arguments.times)
        except BenchmarkFailed as error:
            sys.exit(str(error))
    json.dump(figures, sys.stdout)
    return 0


def measure(timing: Timing, recorder: Recorder, times: int) -> dict[str, Any]:
    """Medians. The ways take turns, so that what else the machine does meets all of them."""
    every = FINDING
    first = timing.flow()
    timing.expect(*every)
    recorder.replay = True
    flow, plain, cached, elsewhere = [], [], [], []
    for number in range(times):
        with step_cache(get_settings().data_dir / f"empty cache {number}"):
            flow.append(timing.flow())
        timing.expect(*every)
        plain.append(timing.plain())
        timing.expect(*every)
        elsewhere.append(timing.flow())
        cached.append(timing.flow(again=True))
        timing.expect()
    with_prefect, bare = statistics.median(flow), statistics.median(plain)
    return {
        "repetitions": times,
        "first_sec": round(first, 3),
        "steps_at_once_sec": round(with_prefect, 3),
        "plain_functions_sec": round(bare, 3),
        "prefect_share_sec": round(with_prefect - bare, 3),
        "cached_running_server_sec": round(statistics.median(cached), 3),
        "cached_into_another_folder_sec": round(statistics.median(elsewhere), 3),
    }


class step_cache:
    """with step_cache(folder): the steps' results are kept there."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> None:
        self._before = os.environ.get("PERFORMIA_RESULTS_STORE")
        os.environ["PERFORMIA_RESULTS_STORE"] = str(self._folder)
        reset_settings()

    def __exit__(self, *_: object) -> None:
        del os.environ["PERFORMIA_RESULTS_STORE"]
        if self._before is not None:
            os.environ["PERFORMIA_RESULTS_STORE"] = self._before
        reset_settings()


if __name__ == "__main__":
    sys.exit(main())
