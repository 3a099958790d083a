"""Whole songs: cold and again from the cache, each in a new process, step by step, and the peak memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.performance.bench.processes import analyse, new_place, surroundings
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table


def measure(request: Request) -> dict[str, Any]:
    """{"songs": {title: figures}}. Raises BenchmarkFailed."""
    songs: dict[str, Any] = {}
    for song in request.songs:
        title, figures = _one(song, request)
        # Two songs may have one title, and both are wanted.
        songs[title if title not in songs else f"{title} ({song.name})"] = figures
    return {"songs": songs}


def _one(song: Path, request: Request) -> tuple[str, dict[str, Any]]:
    with new_place() as place:
        environment = surroundings(place)
        request.tell(f"song: {song.name}, cold")
        cold, song_map = analyse(song, place, environment, request.words)
        request.tell(f"song: {song.name}, from the cache")
        cached, _ = analyse(song, place, environment, request.words)
    steps = {
        name: {"status": step["status"], "engine": step["engine"], "wall_sec": step["seconds"]} for name, step in song_map["steps"].items()
    }
    return song_map["title"], {
        "duration_sec": round(song_map["duration_sec"], 1),
        "cold_sec": round(cold.wall_sec, 2),
        "cached_sec": round(cached.wall_sec, 2),
        "peak_mib": cold.peak_mib,
        "steps": steps,
    }


def report(figures: Mapping[str, Any]) -> str:
    songs = figures["songs"]
    steps = list(dict.fromkeys(step for row in songs.values() for step in row["steps"]))
    heads = ("song", "length s", "cold s", "cached s", "peak MiB", *steps)
    rows = []
    for title, row in songs.items():
        whole = [row[name] for name in ("duration_sec", "cold_sec", "cached_sec", "peak_mib")]
        rows.append([title, *whole, *(row["steps"].get(step, {}).get("wall_sec") for step in steps)])
    return table(heads, rows)
