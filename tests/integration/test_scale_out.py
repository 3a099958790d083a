"""Two API servers on PostgreSQL and Redis, and two workers: nothing is computed twice, and nothing is lost with a server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from high_availability import Installation, Missing
from service import tones

from tasks.packager.validation import validate_file

pytestmark = [pytest.mark.scale_out, pytest.mark.slow]

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    pytest.importorskip("prefect_redis", reason="prefect-redis is missing: pip install 'performia[redis]'")
    try:
        made = Installation(tmp_path_factory.mktemp("installation"), LIGHT_SECONDS="0.4")
    except Missing as absent:
        pytest.skip(str(absent))
    try:
        made.start_server_side()
        made.once("setup", "deployments.cli.main", "setup")
        made.once("deploy", "prefect", "--no-prompt", "deploy", "--name", "analyze-song")
        for number in range(2):
            made.start_worker(number)
        made.wait_for_api(1)
        yield made
    finally:
        made.stop()


def test_songs_submitted_through_two_servers_outlive_one_of_them(installation: Installation) -> None:
    songs = [tones(installation.inbox / f"song {number}.wav", 200 + 40 * number) for number in range(3)]
    runs = [installation.submit(song, api=number % 2) for number, song in enumerate(songs)]
    runs.append(installation.submit(songs[0], api=1))  # a second time, through the other server

    wait(lambda: "RUNNING" in states(installation, runs), 90, "no run starts", installation)
    used = dict(installation.balancer.passed)
    installation.kill_api(0)
    songs.append(tones(installation.inbox / "late.wav", 500))
    runs.append(installation.submit(songs[-1], api=1))
    wait_for_the_end(installation, runs)

    assert all(used.values()), "clients were talking to both servers"
    assert states(installation, runs) == ["COMPLETED"] * len(runs), messages(installation, runs)
    maps = sorted((installation.data / "songs").rglob("song_map.json"))
    assert len(maps) == len(songs)
    assert all(not validate_file(path) for path in maps)
    done = [installation.executions(worker) for worker in range(2)]
    assert all(done), "both workers did work"
    times = Counter(done[0] + done[1])
    assert len({song for _, song in times}) == len(songs)
    assert set(times.values()) == {1}, f"steps computed more than once: {[step for step, count in times.items() if count > 1]}"
    wait(lambda: not unfinished_tasks(installation, runs), 30, "task runs stay unfinished", installation)


def test_with_one_server_only_a_run_ends_when_that_server_is_back_and_its_song_is_not_lost(installation: Installation) -> None:
    """Clients wait for a server that they have talked to; a step that starts while it is away ends the run. Either way the song goes on."""
    for worker in range(2):
        installation.stop_worker(worker)
    installation.start_worker(2, PREFECT_API_URL=installation.urls[1])
    song = tones(installation.inbox / "patient.wav", 700)
    run = installation.submit(song, api=1)
    wait(lambda: bool(installation.executions(2)), 90, "the run does not start", installation)

    installation.kill_api(1)
    installation.start_api(1)
    installation.wait_for_api(1)

    wait_for_the_end(installation, [run])
    if states(installation, [run]) != ["COMPLETED"]:
        run = installation.submit(song, api=1)
        wait_for_the_end(installation, [run])
    assert states(installation, [run]) == ["COMPLETED"], messages(installation, [run])
    assert not validate_file(installation.data / "songs" / "patient" / "song_map.json")


def test_a_server_answers_nobody_who_does_not_know_the_auth_string(installation: Installation) -> None:
    url = f"{installation.urls[1]}/flow_runs/filter"
    assert httpx.post(url, json={}, timeout=30).status_code == httpx.codes.UNAUTHORIZED
    assert httpx.post(url, json={}, auth=("performia", "wrong"), timeout=30).status_code == httpx.codes.UNAUTHORIZED


def states(installation: Installation, runs: list[str]) -> list[str]:
    return [installation.get(f"flow_runs/{run}")["state_type"] for run in runs]


def messages(installation: Installation, runs: list[str]) -> list[Any]:
    return [installation.get(f"flow_runs/{run}")["state"].get("message") for run in runs]


def unfinished_tasks(installation: Installation, runs: list[str]) -> list[tuple[str, str]]:
    """Tasks report through events, which a killed server may have held."""
    tasks = installation.post("task_runs/filter", {"flow_runs": {"id": {"any_": runs}}, "limit": 200})
    return [(task["name"], task["state_type"]) for task in tasks if task["state_type"] not in FINAL]


def wait_for_the_end(installation: Installation, runs: list[str]) -> None:
    wait(lambda: all(state in FINAL for state in states(installation, runs)), 180, "the runs do not end", installation)


def wait(condition: Any, timeout: float, complaint: str, installation: Installation) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            logs = {path.name: path.read_text(errors="replace")[-1500:] for path in sorted(Path(installation.folder).glob("*.log"))}
            raise AssertionError("\n".join([complaint, *(f"--- {name}\n{text}" for name, text in logs.items())]))
        time.sleep(0.5)
