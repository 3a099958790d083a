"""Killed at random moments: runs, the API, the service, everything. No song is lost, nothing finished is computed again."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from service import Service, kill, tones

from schemas.song_map import SongMap
from tasks.packager.validation import validate_file

UNDER_WAY = ("RUNNING", "PENDING", "CANCELLING")


def strike(service: Service, kind: str, chance: random.Random) -> bool:
    """Kill one kind of process; returns whether there was one. What is not started again by the service is started here."""
    if kind == "all":
        service.kill_all()
    else:
        commands = {
            "run": ("prefect.engine", "prefect flow-run execute"),
            "api": ("deployments.server.api_process",),
            "service": ("deployments.cli.main serve",),
        }
        pids = sorted(pid for command in commands[kind] for pid in service.pids(command))
        if not pids:
            return False
        kill(chance.choice(pids))
    assert service.process is not None
    if kind in ("all", "service"):
        service.process.wait()
        service.start()
    return True


def whole_maps(songs: Path) -> list[Path]:
    """The Song Maps that are there: whole, with every stem they name."""
    maps = sorted(songs.rglob("song_map.json"))
    for path in maps:
        assert validate_file(path) == []
    return maps


def fight(service: Service, songs: int, kills: int, pause: tuple[float, float], seed: int) -> Counter[str]:
    """Drop songs, kill until there were so many kills, and wait until each song has ended. Returns the kills by kind."""
    chance = random.Random(seed)
    struck: Counter[str] = Counter()
    service.start()
    for number in range(songs):
        tones(service.inbox / f"album {number % 3}" / f"song {number}.wav", 200 + 11 * number, 310)
    while sum(struck.values()) < kills:
        time.sleep(chance.uniform(*pause))
        kind = chance.choice(("run", "run", "api", "service", "all"))
        if strike(service, kind, chance):
            struck[kind] += 1
        whole_maps(service.songs)
    service.wait(lambda: len(whole_maps(service.songs)) == songs, 60 + 45 * songs, "not every song has a Song Map")
    return struck


def assert_nothing_is_left(service: Service, songs: int) -> None:
    assert not (service.inbox / "failed").exists()
    service.wait(lambda: not service.runs("analyze-song", *UNDER_WAY), 150, "a run is under way for ever")
    service.wait(lambda: service.slots_taken("gpu", "cpu-heavy", "memory-heavy", "network") == 0, 30, "a slot stays taken")
    completed = Counter(str(run["parameters"]["song"]) for run in service.runs("analyze-song", "COMPLETED"))
    assert len(completed) == songs
    # A process killed between writing the map and saying so leaves a complete map; the run is then made again, from the cache.
    assert max(completed.values()) == 1
    left = [path for folder in (service.songs, service.data) for path in folder.rglob(".*.tmp")]
    assert left == []
    assert not list((service.data / "scratch").glob("*-*"))


def recomputed(service: Service) -> int:
    """How many executions of steps were finished, although the step had been finished before."""
    ends = Counter((step, song) for _, kind, step, song, _ in service.executions() if kind == "end")
    return sum(count - 1 for count in ends.values())


@pytest.fixture
def service(tmp_path: Path, prefect_home: Path) -> Service:
    return Service(tmp_path, prefect_home, LIGHT_SECONDS="0.6", PERFORMIA_PENDING_LIMIT_SEC="20")


def test_a_few_kills_lose_nothing(service: Service) -> None:
    try:
        fight(service, songs=2, kills=3, pause=(2.0, 6.0), seed=4)
        assert_nothing_is_left(service, 2)
        assert recomputed(service) <= 3
    finally:
        service.kill_all()


@pytest.mark.slow
def test_twenty_kills_over_a_batch_lose_nothing(service: Service) -> None:
    try:
        struck = fight(service, songs=10, kills=20, pause=(3.0, 12.0), seed=20)
        assert_nothing_is_left(service, 10)
        print(f"kills survived: {dict(struck)}; songs lost: 0; steps computed again: {recomputed(service)}")
        assert recomputed(service) <= 20
    finally:
        service.kill_all()


@pytest.mark.slow
def test_the_real_engines_killed_twice_go_on_where_they_were(tmp_path: Path, prefect_home: Path, demo_song: Path) -> None:
    service = Service(tmp_path, prefect_home, PERFORMIA_PENDING_LIMIT_SEC="20")
    service.environment["PYTHONPATH"] = str(Path(__file__).parents[2])  # without the light engines
    records = service.data / "cache" / "results"
    try:
        service.start()
        shutil.copy(demo_song, service.inbox / "demo.ogg")
        for finished in ("ingest", "separation"):
            service.wait(lambda step=finished: bool(list(records.glob(f"{step}-*"))), 240, f"{finished} is not finished")
            time.sleep(2)
            service.kill_all()
            service.start()
        song_map = service.songs / "demo" / "song_map.json"
        service.wait(song_map.exists, 240, "no Song Map")
        assert validate_file(song_map) == []
        steps = dict(SongMap.model_validate_json(song_map.read_text(encoding="utf-8")).steps)
        assert steps["ingest"].cached
        assert steps["separation"].cached
        service.wait(lambda: not service.runs("analyze-song", *UNDER_WAY), 60, "a run is under way for ever")
    finally:
        service.kill_all()
