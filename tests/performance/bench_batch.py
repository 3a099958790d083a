"""Time a folder of songs: one process a song, then all songs in one process, one at a time and several; and the memory after each song.

usage: python tests/performance/bench_batch.py FOLDER [--at-once 1 2] [-o RESULTS.json]

Every way starts with an empty data directory. Figures are of one run each on the machine named in the result; compare ratios, not seconds.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from flows.bench_command import analyse, surroundings
from tasks.common.resources import hardware
from tasks.common.song_files import find_songs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    parser.add_argument("-o", "--output", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    ways = [one_by_one(arguments.folder), *(batch(arguments.folder, count) for count in arguments.at_once)]
    result = {"date": datetime.date.today().isoformat(), "hardware": hardware(), "ways": ways}
    print_table(ways)
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def one_by_one(folder: Path) -> dict[str, Any]:
    """`performia analyze` for each song, one after the other."""
    with tempfile.TemporaryDirectory(prefix="performia-bench-") as place:
        environment = surroundings(Path(place))
        runs = [analyse(song.path, Path(place), environment, []) for song in find_songs(folder).songs]
        music = sum(json.loads(Path(run["song_map"]).read_text(encoding="utf-8"))["duration_sec"] for run in runs)
    return row("one process a song", len(runs), music, sum(run["wall_sec"] for run in runs), max(run["peak_mib"] for run in runs))


def batch(folder: Path, at_once: int) -> dict[str, Any]:
    """`performia analyze-folder`."""
    with tempfile.TemporaryDirectory(prefix="performia-bench-") as place:
        words = ["analyze-folder", str(folder), "-o", f"{place}/out", "--at-once", str(at_once), "--json"]
        command = [sys.executable, "-m", "flows.cli", *words]
        started = time.perf_counter()
        run = subprocess.Popen(command, env=surroundings(Path(place)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        scales = Scales(run.pid, Path(place) / "out" / "manifest.json")
        out, err = run.communicate()
        wall = time.perf_counter() - started
        scales.join()
    if run.returncode:
        raise SystemExit(f"exit code {run.returncode}\n{err}")
    summary = json.loads(out)
    figures = row(f"one process, {at_once} at a time", summary["songs"], summary["music_sec"], wall, scales.peak_mib)
    return {**figures, "mib_after_song": scales.after_song}


class Scales(threading.Thread):
    """Weighs a process ten times a second until it ends: its peak, and what it held when each song had just been written down."""

    def __init__(self, pid: int, manifest: Path):
        super().__init__(daemon=True)
        self.peak_mib = 0
        self.after_song: list[int] = []
        self._process = psutil.Process(pid)
        self._manifest = manifest
        self.start()

    def run(self) -> None:
        try:
            while True:
                now = round(self._process.memory_info().rss / (1 << 20))
                self.peak_mib = max(self.peak_mib, now)
                while len(self.after_song) < self._written():
                    self.after_song.append(now)
                time.sleep(0.1)
        except psutil.Error:
            return

    def _written(self) -> int:
        try:
            return len(json.loads(self._manifest.read_text(encoding="utf-8"))["songs"])
        except OSError:
            return 0


def row(way: str, songs: int, music_sec: float, wall_sec: float, peak_mib: int) -> dict[str, Any]:
    return {
        "way": way,
        "songs": songs,
        "music_sec": round(music_sec, 1),
        "wall_sec": round(wall_sec, 1),
        "songs_per_hour": round(3600 * songs / wall_sec, 1),
        "times_real_time": round(music_sec / wall_sec, 2),
        "peak_mib": peak_mib,
    }


def print_table(ways: list[dict[str, Any]]) -> None:
    print("| way | songs | music s | wall s | songs/hour | × real time | peak MiB |")
    print("|" + " --- |" * 7)
    for way in ways:
        print("| " + " | ".join(str(way[name]) for name in list(way)[:7]) + " |")


if __name__ == "__main__":
    sys.exit(main())
