"""Figures of the service: `python -m tests.performance.bench.service [-o results.json] [--part rest]`, with light engines.

Start-up of a served run, one look at 10,000 files, idle time of a scarce slot, memory of the serving processes after 10 and 100 songs, and
what a service at rest takes of a core. With --part, the other figures of the results file stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import psutil
from service import Service, tones

from flows.folder_watch.ledger import opened
from flows.folder_watch.rules import WatchRules
from flows.folder_watch.scan import scan_inbox

ON_GPU = ("separate_song", "transcribe_lyrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--songs", type=int, default=100)
    parser.add_argument("--rest-sec", type=float, default=600)
    parser.add_argument("--part", choices=("scan", "serving", "rest"))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="performia-bench-"))
    try:
        figures: dict[str, Any] = {"machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}}
        if arguments.part and arguments.output and arguments.output.exists():
            figures = json.loads(arguments.output.read_text(encoding="utf-8"))
        if arguments.part in (None, "scan"):
            figures |= scan(folder / "scan")
        if arguments.part in (None, "serving"):
            figures |= serving(folder / "serve", arguments.songs)
        if arguments.part in (None, "rest"):
            figures |= at_rest(folder / "rest", arguments.rest_sec)
        text = json.dumps(figures, indent=1)
        print(text)
        if arguments.output:
            arguments.output.write_text(text + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scan(folder: Path, files: int = 10_000, looks: int = 5) -> dict[str, Any]:
    """Seconds of one look at many files: the first, which reads them all, and those after it, when nothing has changed."""
    for number in range(files):
        path = folder / "inbox" / f"{number % 100}" / f"song {number}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(number).encode() * 100)
    seconds = []
    with opened(folder / "ledger.sqlite") as ledger:
        assert ledger is not None
        for _ in range(looks + 1):
            started = time.perf_counter()
            scan_inbox(ledger, folder / "inbox", "options", WatchRules(settle_sec=0))
            seconds.append(time.perf_counter() - started)
    return {"scan_10000_first_sec": round(seconds[0], 2), "scan_10000_unchanged_sec": round(statistics.median(seconds[1:]), 3)}


def at_rest(folder: Path, seconds: float) -> dict[str, Any]:
    """Percent of one core that each process takes, one minute after the last song, while nothing happens."""
    service = Service(folder, new_home(folder))
    try:
        service.start()
        tones(service.inbox / "a.wav", 220)
        service.wait((service.songs / "a" / "song_map.json").exists, 120, "no Song Map")
        watch = service.watching()
        processes = {
            "serve": next(service.pids("deployments.cli.main serve")),
            "api": next(service.pids("deployments.server.api_process")),
            "watch": service.run_pid(watch),
        }
        time.sleep(60)
        before = {name: cpu_sec(pid) for name, pid in processes.items()}
        started = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - started
        percent = {name: round(100 * (cpu_sec(pid) - before[name]) / took, 2) for name, pid in processes.items()}
        assert service.watching() == watch
        return {
            "rest_sec": round(took),
            **{f"rest_{name}_percent": figure for name, figure in percent.items()},
            "rest_percent": round(sum(percent.values()), 2),
        }
    finally:
        service.kill_all()


def cpu_sec(pid: int) -> float:
    """Seconds of a core that a process has taken, and what it started and has ended."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def new_home(folder: Path) -> Path:
    """A Prefect home with a database."""
    home = folder / "prefect"
    home.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env={**os.environ, "PREFECT_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    return home


def serving(folder: Path, songs: int) -> dict[str, Any]:
    service = Service(folder, new_home(folder), LIGHT_SECONDS="1.0", PERFORMIA_DEVICE="cuda")
    try:
        service.start("--at-once", "8")
        service.pause_schedule("watch-folder/watch-folder")
        figures: dict[str, Any] = {"served_run_start_sec": round(statistics.median(start_up(service, number) for number in range(5)), 2)}
        figures |= idle(service)
        service.stop()
        service.environment["LIGHT_SECONDS"] = "0"
        service.start("--at-once", "2")
        service.pause_schedule("watch-folder/watch-folder")
        figures |= memory(service, songs)
        return figures
    finally:
        service.kill_all()


def start_up(service: Service, number: int) -> float:
    """Seconds from asking for a run until its first engine works; decoding a song of four seconds is in it."""
    song = tones(service.inbox / "start" / f"{number}.wav", 100 + number)
    before = len(service.executions())
    asked = time.time()
    run = service.run("analyze-song/analyze-song", song=str(song))
    service.ended(run)
    return service.executions()[before][0] - asked


def idle(service: Service, songs: int = 8) -> dict[str, Any]:
    """A slot that eight songs want: seconds between one holder and the next while others wait."""
    before = len(service.executions())
    for number in range(songs):
        tones(service.inbox / "many" / f"{number}.wav", 500 + 20 * number)
    service.look(rules={"settle_sec": 1})
    service.wait(lambda: len(list((service.songs / "many").rglob("song_map.json"))) == songs, 300, "not every song is done")
    events = sorted(event for event in service.executions()[before:] if event[2] in ON_GPU)
    gaps = [start[0] - end[0] for end, start in zip(events[1:-1:2], events[2::2], strict=True)]
    busy = sum(end[0] - start[0] for start, end in zip(events[::2], events[1::2], strict=True))
    return {
        "slot_overlaps": sum(kind != expected for (_, kind, *_), expected in zip(events, ["start", "end"] * songs * 2, strict=True)),
        "slot_gap_median_sec": round(statistics.median(gaps), 2),
        "slot_gap_largest_sec": round(max(gaps), 2),
        "slot_busy_share": round(busy / (events[-1][0] - events[0][0]), 2),
    }


def memory(service: Service, songs: int) -> dict[str, Any]:
    """MiB of the serving process and of its API, after ten songs and after all."""
    at: dict[int, dict[str, float]] = {}
    for number in range(songs):
        tones(service.inbox / "long run" / f"{number}.wav", 300 + number, 1000 - number)
    for done in (10, songs):
        while len(list((service.songs / "long run").rglob("song_map.json"))) < done:
            service.look(rules={"settle_sec": 1})
            time.sleep(10)
        at[done] = {
            name: resident(service, text)
            for name, text in (("serve", "deployments.cli.main serve"), ("api", "deployments.server.api_process"))
        }
    return {f"{name}_mib_after_{done}": mib for done, found in at.items() for name, mib in found.items()}


def resident(service: Service, command: str) -> float:
    return round(sum(psutil.Process(pid).memory_info().rss for pid in service.pids(command)) / 2**20, 1)


if __name__ == "__main__":
    main()
