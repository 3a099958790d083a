"""Many songs: a process a song, then all of them in one process, one at a time and several; and the memory after each song."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tasks.common.errors import OptionInvalid
from tasks.common.resources import available_cores
from tests.performance.bench.processes import analyse, new_place, performia, surroundings
from tests.performance.bench.recordings import cut
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

_LOOK_SEC: Final = 0.1


def measure(request: Request) -> dict[str, Any]:
    """The given songs, or eight excerpts of the one. Each way starts with an empty data directory. Raises BenchmarkFailed."""
    several = max(2, available_cores())
    with new_place() as folder:
        songs = _gather(request, folder / "songs")
        request.tell(f"batch: {len(songs)} songs, a process each")
        ways = {"a process a song": _one_by_one(request, songs)}
        for at_once in (1, several):
            request.tell(f"batch: {len(songs)} songs in one process, {at_once} at a time")
            ways[f"one process, {at_once} at a time"] = _in_one_process(request, folder / "songs", at_once)
    alone = ways["a process a song"]["wall_sec"]
    for way in ways.values():
        way["times_as_fast"] = round(alone / way["wall_sec"], 2)
    return {"ways": ways}


def refuse(_: Request) -> None:
    """Raises OptionInvalid where what weighs other processes is not installed."""
    try:
        import psutil  # noqa: F401
    except ModuleNotFoundError as missing:
        raise OptionInvalid("--part batch needs the package psutil", "Run `pip install 'performia[dev]'`") from missing


def _gather(request: Request, folder: Path) -> list[Path]:
    """The songs in one folder, their names made unlike each other."""
    if len(request.songs) < 2:
        return cut(request.song, folder)
    folder.mkdir()
    return [Path(shutil.copy(song, folder / f"{number:02} {song.name}")) for number, song in enumerate(request.songs, start=1)]


def _one_by_one(request: Request, songs: Sequence[Path]) -> dict[str, Any]:
    """`performia analyze` for each song, one after the other."""
    with new_place() as place:
        environment = surroundings(place)
        runs = [analyse(song, place, environment, request.words) for song in songs]
    music = sum(song_map["duration_sec"] for _, song_map in runs)
    return figures_of(len(runs), music, sum(ran.wall_sec for ran, _ in runs), max(ran.peak_mib for ran, _ in runs))


def _in_one_process(request: Request, folder: Path, at_once: int) -> dict[str, Any]:
    """`performia analyze-folder`."""
    with new_place() as place:
        environment = surroundings(place)
        words = ["analyze-folder", folder, "-o", place / "out", "--at-once", str(at_once), "--json", *request.words]
        with MemorySampler(place / "out" / "manifest.json") as memory:
            ran = performia(f"The batch, {at_once} at a time", words, environment)
        summary = json.loads(ran.output)
    figures = figures_of(summary["songs"], summary["music_sec"], ran.wall_sec, ran.peak_mib)
    return {**figures, "after_song_mib": memory.after_song}


def figures_of(songs: int, music_sec: float, wall_sec: float, peak_mib: int) -> dict[str, Any]:
    return {
        "songs": songs,
        "music_sec": round(music_sec, 1),
        "wall_sec": round(wall_sec, 1),
        "songs_per_hour": round(3600 * songs / wall_sec, 1),
        "times_real_time": round(music_sec / wall_sec, 2),
        "peak_mib": peak_mib,
    }


class MemorySampler:
    """with MemorySampler(manifest): while the block runs a batch in a child process, takes its memory ten times a second.

    after_song: MiB that it held when each song had just been written down.
    """

    def __init__(self, manifest: Path):
        self.after_song: list[int] = []
        self._manifest = manifest
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        import psutil

        own = psutil.Process()
        while not self._stop.wait(_LOOK_SEC):
            try:
                # The one child of this process; its own children, Prefect's API, are not what grows with songs.
                now = max((round(process.memory_info().rss / (1 << 20)) for process in own.children()), default=0)
            except psutil.Error:
                continue
            self.after_song += [now] * (self._written() - len(self.after_song))

    def _written(self) -> int:
        try:
            return len(json.loads(self._manifest.read_text(encoding="utf-8"))["songs"])
        except (OSError, ValueError):
            return 0


def report(figures: Mapping[str, Any]) -> str:
    names = ("songs", "music_sec", "wall_sec", "songs_per_hour", "times_real_time", "times_as_fast", "peak_mib")
    rows = []
    for way, row in figures["ways"].items():
        after = ", ".join(map(str, row.get("after_song_mib", [])))
        rows.append([way, *(row[name] for name in names), after])
    heads = ("way", "songs", "music s", "wall s", "songs/hour", "× real time", "× a process a song", "peak MiB", "MiB after each song")
    return table(heads, rows)
