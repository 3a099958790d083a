"""The one place where the benchmark runs a command in a new process, and weighs it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tasks.common.settings import get_settings
from tests.performance.bench.errors import BenchmarkFailed

_END_OF_LOG = 800
_PERFORMIA = [sys.executable, "-m", "deployments.cli.main"]
#: Of a person's environment these would lead a process to another Prefect server, or to what was computed before.
_LEFT_OUT = (
    "PREFECT_API_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PERFORMIA_ARTIFACT_STORE",
    "PERFORMIA_RESULTS_STORE",
    "PERFORMIA_OUTPUT_DIR",
)


@dataclass(frozen=True)
class Ran:
    """A process that ended well. cpu_sec, peak_mib: of it and of the children it waited for; the peak is that of the largest one."""

    wall_sec: float
    cpu_sec: float
    peak_mib: int
    output: str
    log: str

    def figures(self) -> dict[str, float]:
        return {"wall_sec": round(self.wall_sec, 2), "cpu_sec": round(self.cpu_sec, 2), "peak_mib": self.peak_mib}


def run(what: str, command: Sequence[object], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """Run a command to its end. Raises BenchmarkFailed, which names `what` and has the end of its log, where that is not well."""
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        started = time.perf_counter()
        try:
            child = subprocess.Popen([str(word) for word in command], env=environment, stdout=out, stderr=err, cwd=cwd)
        except OSError as error:
            raise BenchmarkFailed(f"{what} could not be started: {error}") from error
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:  # stopped by a person: nothing is left running
            child.kill()
            child.wait()
            raise
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, log = out.read(), err.read()
    if child.returncode:
        raise BenchmarkFailed(f"{what} failed with exit code {child.returncode}: {end_of(log or output)}")
    # Kilobytes; bytes on macOS.
    peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Ran(wall, used.ru_utime + used.ru_stime, round(peak), output, log)


def median_sec(what: str, command: Sequence[object], times: int, environment: Mapping[str, str] | None = None) -> float:
    """Median of the wall seconds of so many new processes."""
    return round(statistics.median(run(what, command, environment).wall_sec for _ in range(times)), 3)


def end_of(log: str) -> str:
    return log.strip()[-_END_OF_LOG:]


@contextmanager
def new_place() -> Iterator[Path]:
    """A folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="performia-bench-") as folder:
        yield Path(folder)


def surroundings(place: Path) -> dict[str, str]:
    """The environment of processes with an empty data directory in `place`, and with Prefect's database, as any earlier command would have
    made it. The models that are here are here for them too: nothing is downloaded. Raises BenchmarkFailed.
    """
    settings = get_settings()
    models = settings.models_cache_dir.absolute()
    models.mkdir(parents=True, exist_ok=True)
    (place / "data").mkdir()
    (place / "data" / "models").symlink_to(models)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in _LEFT_OUT},
        "PERFORMIA_DATA_DIR": str(place / "data"),
        "PERFORMIA_OFFLINE": "1",
        "PREFECT_HOME": str(place / "prefect"),
    }
    if settings.models_dir is not None:
        environment["PERFORMIA_MODELS_DIR"] = str(settings.models_dir.absolute())
    shutil.copytree(prefect_home(), place / "prefect")
    return environment


@cache
def prefect_home() -> Path:
    """A home of Prefect with its database, made once and copied: it takes seconds. Gone when this process ends. Raises BenchmarkFailed."""
    folder = tempfile.TemporaryDirectory(prefix="performia-bench-prefect-")
    atexit.register(folder.cleanup)
    environment = {**{name: value for name, value in os.environ.items() if name not in _LEFT_OUT}, "PREFECT_HOME": folder.name}
    run("Making Prefect's database", [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"], environment)
    return Path(folder.name)


def performia(what: str, words: Sequence[object], environment: Mapping[str, str]) -> Ran:
    """The command `performia`, in a new process. Raises BenchmarkFailed."""
    return run(what, [*_PERFORMIA, *words], environment)


def analyse(song: Path, place: Path, environment: Mapping[str, str], words: Sequence[str]) -> tuple[Ran, dict[str, Any]]:
    """One `performia analyze` in a new process, and the Song Map it wrote. Raises BenchmarkFailed."""
    ran = performia(f"The analysis of {song}", ["analyze", song.resolve(), "-o", place / "out", "--json", *words], environment)
    written = Path(json.loads(ran.output)[0]["song_map"])
    song_map: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return ran, song_map


def child(module: str, what: str, words: Sequence[object], environment: Mapping[str, str]) -> dict[str, Any]:
    """What a program of the benchmark, run as a module in a new process, prints as JSON. Raises BenchmarkFailed."""
    ran = run(what, [sys.executable, "-m", module, *words], environment)
    try:
        figures: dict[str, Any] = json.loads(ran.output)
    except ValueError as error:
        raise BenchmarkFailed(f"{what} gave no figures: {end_of(ran.output + ran.log)}") from error
    return figures
