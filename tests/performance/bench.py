"""Time the whole analysis of songs: cold, and again from the cache; the seconds of each step, and the peak memory.

usage: python tests/performance/bench.py [SONG...] [-o RESULTS.json]      (default: the demo song)

Each song is analysed by a new process with an empty data directory, then once more by another new process with what the first one left.
Figures are of one run each on the machine named in the result; compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tasks.common.resources import hardware

DEMO = Path(__file__).parents[1] / "demo_song" / "demo_song.ogg"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", nargs="*", type=Path, default=[DEMO])
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    rows = [measure(song) for song in arguments.songs]
    result = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "songs": rows}
    print_table(rows)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def measure(song: Path) -> dict[str, Any]:
    """Analyse one song cold and cached, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="performia-bench-") as folder:
        environment = {
            **os.environ,
            "PERFORMIA_DATA_DIR": f"{folder}/data",
            "PERFORMIA_OFFLINE": "1",
            "PREFECT_HOME": f"{folder}/prefect",
        }
        warm_up_prefect(environment)
        cold = analyse(song, Path(folder), environment)
        cached = analyse(song, Path(folder), environment)
        song_map = json.loads(Path(cold["song_map"]).read_text(encoding="utf-8"))
    return {
        "song": song_map["title"],
        "duration_sec": round(song_map["duration_sec"], 1),
        "cold_sec": cold["wall_sec"],
        "cached_sec": cached["wall_sec"],
        "peak_mib": cold["peak_mib"],
        "steps": {name: {key: step[key] for key in ("status", "engine", "seconds")} for name, step in song_map["steps"].items()},
    }


def analyse(song: Path, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "flows.cli", "analyze", str(song), "-o", str(folder / "out"), "--json"]
    started = time.perf_counter()
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - started
    if run.returncode:
        raise SystemExit(f"{song}: exit code {run.returncode}\n{run.stderr}")
    # The largest child so far: the cold run comes first, and is the larger.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"wall_sec": round(wall, 1), "peak_mib": round(peak), "song_map": json.loads(run.stdout)[0]["song_map"]}


def warm_up_prefect(environment: dict[str, str]) -> None:
    """Make Prefect's database, as any earlier command would have."""
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"], env=environment, capture_output=True, check=True
    )


def print_table(rows: list[dict[str, Any]]) -> None:
    steps = list(rows[0]["steps"]) if rows else []
    print("| song | length s | cold s | cached s | peak MiB | " + " | ".join(steps) + " |")
    print("|" + " --- |" * (5 + len(steps)))
    for row in rows:
        seconds = " | ".join(f"{row['steps'][step]['seconds']:.1f}" for step in steps)
        print(f"| {row['song']} | {row['duration_sec']} | {row['cold_sec']} | {row['cached_sec']} | {row['peak_mib']} | {seconds} |")


if __name__ == "__main__":
    sys.exit(main())
