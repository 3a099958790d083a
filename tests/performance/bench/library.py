"""Figures of the HTTP API's library: `python -m tests.performance.bench.library [-o results.json] [--songs 10000]`.

As many Song Maps as that, with made-up words that are as unevenly common as those of a language, are written into folders of a hundred, and
indexed. Then every kind of search is made some hundred times, for words and pages that differ, in turn with every other kind.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments.api.library.library import Library
from deployments.api.library.query import song_query
from schemas.song_folder import MAP_NAME

EXAMPLE = Path(__file__).parents[2] / "unit" / "packager" / "golden" / "song_map.json"
_SYLLABLES = ("la", "mo", "ri", "ten", "sa", "vo", "ke", "du", "an", "pi", "gol", "es", "nu", "bra", "fi", "tor")


class Words:
    """Words of a made-up language: the tenth is heard ten times as rarely as the first (Zipf)."""

    def __init__(self, dice: random.Random, count: int = 20_000):
        self._dice = dice
        self.all = list(dict.fromkeys("".join(dice.choices(_SYLLABLES, k=dice.randint(1, 4))) for _ in range(count)))
        self._until = list(itertools.accumulate(1 / (place + 1) for place in range(len(self.all))))

    def some(self, count: int) -> list[str]:
        return self._dice.choices(self.all, cum_weights=self._until, k=count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="performia-bench-"))
    try:
        machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        figures: dict[str, Any] = {"machine": machine, "songs": arguments.songs} | measure(folder, arguments.songs, arguments.rounds)
        text = json.dumps(figures, indent=1)
        print(text)
        if arguments.output:
            arguments.output.write_text(text + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, songs: int, rounds: int) -> dict[str, Any]:
    dice = random.Random(17)
    words = Words(dice)
    ids = write_maps(folder / "songs", songs, words, dice)
    library = Library(folder / "songs", folder / "index.sqlite")
    started = time.perf_counter()
    library.refresh()
    filled = time.perf_counter() - started
    again = Library(folder / "songs", library.index.file)
    first_look, later_looks = timed(again.refresh), [timed(again.refresh) for _ in range(5)]
    searches: dict[str, Callable[[], object]] = {
        "a word": lambda: library.search(song_query(words.some(1)[0])),
        "the commonest word": lambda: library.search(song_query(words.all[0])),
        "two letters": lambda: library.search(song_query(words.some(1)[0][:2])),
        "one letter": lambda: library.search(song_query(words.some(1)[0][:1])),
        "three words": lambda: library.search(song_query(" ".join(words.some(3)))),
        "a word by title": lambda: library.search(song_query(words.some(1)[0], sort="title")),
        "a key and a tempo": lambda: library.search(
            song_query(key=dice.choice(["Am", "C", "F#"]), bpm_min=100, bpm_max=dice.randint(101, 180))
        ),
        "the newest": lambda: library.search(song_query()),
        "the second page": lambda: second_page(library),
        "one song": lambda: library.folder_of(dice.choice(ids)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    computing: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(rounds):
        for name, search in searches.items():
            before = time.thread_time()
            seconds[name].append(timed(search))
            computing[name].append(time.thread_time() - before)
    return {
        "index_bytes": library.index.file.stat().st_size,
        "filling_sec": round(filled, 2),
        "first_look_ms": round(first_look * 1000, 1),
        "later_look_ms": round(statistics.median(later_looks) * 1000, 1),
        "searches_ms": {name: spread(found) for name, found in seconds.items()},
        "searches_cpu_ms": {name: spread(found) for name, found in computing.items()},
        "all_ms": spread([second for found in seconds.values() for second in found]),
        "all_cpu_ms": spread([second for found in computing.values() for second in found]),
    }


def second_page(library: Library) -> None:
    query = song_query(sort="title", limit=50)
    page = library.search(query)
    assert page.last is not None
    library.search(song_query(sort="title", limit=50, cursor=query.cursor(page.last)))


def write_maps(root: Path, songs: int, words: Words, dice: random.Random) -> list[str]:
    document = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    ids = []
    for number in range(songs):
        document["id"] = f"{number:016x}"
        document["title"] = " ".join(words.some(3))
        document["source"]["tags"] |= {"artist": " ".join(words.some(2)), "album": " ".join(words.some(2))}
        document["tempo"]["bpm_global"] = round(dice.uniform(60, 200), 2)
        tonic, mode = dice.choice("CDEFGAB"), dice.choice(["major", "minor"])
        document["key"] = [{"start": 0.0, "end": 200.0, "tonic": tonic, "mode": mode, "conf": 0.9}]
        document["lyrics"] = [
            {"start": float(line), "end": line + 1.0, "text": " ".join(words.some(7)), "conf": 0.9, "words": []} for line in range(40)
        ]
        document["provenance"]["created"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + 60 * number))
        folder = root / f"album {number // 100}" / f"song {number}"
        folder.mkdir(parents=True)
        (folder / MAP_NAME).write_text(json.dumps(document), encoding="utf-8")
        ids.append(document["id"])
    return ids


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and the longest, in ms."""
    cuts = statistics.quantiles(seconds, n=20)
    return {"p50": round(statistics.median(seconds) * 1000, 2), "p95": round(cuts[18] * 1000, 2), "max": round(max(seconds) * 1000, 2)}


if __name__ == "__main__":
    main()
