"""`performia bench`: how long songs take on this machine, cold and again from the cache, step by step, and compared with an earlier run."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.console import error_console
from schemas.options import AnalysisOptions
from tasks.common.errors import BenchmarkFailed
from tasks.common.resources import hardware
from tasks.common.settings import get_settings
from tasks.common.storage import atomic_write
from tasks.ingest.checks import refuse_early


@dataclass(frozen=True)
class BenchOptions:
    """output: where the figures go as JSON. against: figures of an earlier run; None: those that are overwritten."""

    songs: list[Path]
    output: Path | None = None
    against: Path | None = None


def bench(options: BenchOptions, analysis: AnalysisOptions) -> int:
    """Time the songs, print the tables, write the figures; 0. Raises AudioError, BenchmarkFailed."""
    console = error_console()
    for song in options.songs:
        refuse_early(song, get_settings())
    earlier = read_earlier(options.against or options.output)
    rows = []
    for number, song in enumerate(options.songs, start=1):
        with console.status(f"{song.name} ({number} of {len(options.songs)}): cold, then from the cache"):
            rows.append(measure(song, analysis))
    figures = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "songs": rows}
    if options.output:
        atomic_write(options.output, (json.dumps(figures, indent=1, ensure_ascii=False) + "\n").encode())
    print_report(figures, earlier)
    return 0


def measure(song: Path, analysis: AnalysisOptions) -> dict[str, Any]:
    """Analyse one song in a new process with an empty data directory, and once more in another one. Raises BenchmarkFailed.

    The models that are here, are here for it too: nothing is downloaded.
    """
    models = get_settings().models_cache_dir
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="performia-bench-") as folder:
        environment = surroundings(Path(folder))
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "models").symlink_to(models)
        words = ["--quality", analysis.quality]
        for step, engine in analysis.engines.items():
            words += ["--engine", f"{step}={engine}"]
        cold = analyse(song, Path(folder), environment, words)
        cached = analyse(song, Path(folder), environment, words)
        song_map = json.loads(Path(cold["song_map"]).read_text(encoding="utf-8"))
    return {
        "song": song_map["title"],
        "duration_sec": round(song_map["duration_sec"], 1),
        "cold_sec": cold["wall_sec"],
        "cached_sec": cached["wall_sec"],
        "peak_mib": cold["peak_mib"],
        "steps": {name: {key: step[key] for key in ("status", "engine", "seconds")} for name, step in song_map["steps"].items()},
    }


def surroundings(place: Path) -> dict[str, str]:
    """The environment of a process with an empty data directory, and with Prefect's database, as any earlier command would have made it."""
    own = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "PREFECT_API_DATABASE_CONNECTION_URL")}
    environment = {**own, "PERFORMIA_DATA_DIR": str(place / "data"), "PERFORMIA_OFFLINE": "1", "PREFECT_HOME": str(place / "prefect")}
    made = subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise BenchmarkFailed(f"Prefect's database could not be made: {made.stderr.strip()[-500:]}")
    return environment


def analyse(song: Path, place: Path, environment: dict[str, str], words: list[str]) -> dict[str, Any]:
    """One `performia analyze`: seconds of wall time, peak memory of the command's own process, and the Song Map. Raises BenchmarkFailed."""
    command = [sys.executable, "-m", "flows.cli", "analyze", str(song), "-o", str(place / "out"), "--json", *words]
    with (place / "out.json").open("w+") as out, (place / "err.txt").open("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            raise BenchmarkFailed(f"{song} was not analysed: {err.read().strip()[-500:]}")
        song_map = json.load(out)[0]["song_map"]
    # Kilobytes; bytes on macOS.
    peak = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {"wall_sec": round(wall, 1), "peak_mib": round(peak), "song_map": song_map}


def read_earlier(file: Path | None) -> dict[str, dict[str, Any]]:
    """The songs of an earlier run by title; empty if there is none. Raises BenchmarkFailed for a file that is none of ours."""
    if file is None or not file.exists():
        return {}
    try:
        return {row["song"]: row for row in json.loads(file.read_text(encoding="utf-8"))["songs"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BenchmarkFailed(f"{file} holds no figures of `performia bench`") from error


def print_report(figures: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> None:
    """Tables on standard output: the seconds, and how many times as long as earlier."""
    print(", ".join(f"{name} {value}" for name, value in figures["hardware"].items()))
    rows = figures["songs"]
    steps = list(dict.fromkeys(step for row in rows for step in row["steps"]))
    print("| song | length s | cold s | cached s | peak MiB | " + " | ".join(steps) + " |")
    print("|" + " --- |" * (5 + len(steps)))
    for row in rows:
        cells = [str(row[name]) for name in ("song", "duration_sec", "cold_sec", "cached_sec", "peak_mib")]
        cells += [f"{row['steps'][step]['seconds']:.1f}" if step in row["steps"] else "" for step in steps]
        print("| " + " | ".join(cells) + " |")
    for row in rows:
        before = earlier.get(row["song"])
        if before:
            ratios = {name: row[name] / before[name] for name in ("cold_sec", "cached_sec", "peak_mib") if before.get(name)}
            said = ", ".join(f"{name.removesuffix('_sec').removesuffix('_mib')} × {ratio:.2f}" for name, ratio in ratios.items())
            print(f"{row['song']}, against the earlier run: {said}")
