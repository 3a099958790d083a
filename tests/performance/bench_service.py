"""Figures of the service: `python tests/performance/bench_service.py [-o results.json]`. Light engines: the service is measured.

Start-up of a served run, one look at 10,000 files, idle time of a scarce slot, memory of the serving processes after 10 and 100 songs.
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

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import psutil  # noqa: E402
from service import Service, tones  # noqa: E402

from tasks.folder_watch.ledger import opened  # noqa: E402
from tasks.folder_watch.look import look  # noqa: E402
from tasks.folder_watch.rules import WatchRules  # noqa: E402

ON_GPU = ("separate_song", "transcribe_lyrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--songs", type=int, default=100)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="performia-bench-"))
    try:
        figures: dict[str, Any] = {"machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}}
        figures |= scan(folder / "scan")
        figures |= serving(folder / "serve", arguments.songs)
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
            look(ledger, folder / "inbox", "options", WatchRules(settle_sec=0))
            seconds.append(time.perf_counter() - started)
    return {"scan_10000_first_sec": round(seconds[0], 2), "scan_10000_unchanged_sec": round(statistics.median(seconds[1:]), 3)}


def serving(folder: Path, songs: int) -> dict[str, Any]:
    home = folder / "prefect"
    home.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
        env={**os.environ, "PREFECT_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    service = Service(folder, home, LIGHT_SECONDS="1.0", PERFORMIA_DEVICE="cuda")
    try:
        service.start("--at-once", "8")
        figures: dict[str, Any] = {"served_run_start_sec": round(statistics.median(start_up(service, number) for number in range(5)), 2)}
        figures |= idle(service)
        service.stop()
        service.environment["LIGHT_SECONDS"] = "0"
        service.start("--at-once", "2")
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
        at[done] = {name: resident(service, text) for name, text in (("serve", "flows.cli serve"), ("api", "flows.embedded_api"))}
    return {f"{name}_mib_after_{done}": mib for done, found in at.items() for name, mib in found.items()}


def resident(service: Service, command: str) -> float:
    return round(sum(psutil.Process(pid).memory_info().rss for pid in service.pids(command)) / 2**20, 1)


if __name__ == "__main__":
    main()
