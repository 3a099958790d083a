"""A Prefect server on SQLite that cannot write for a while makes songs wait; none fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from held_database import held
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType
from service import free_port, tones

from flows import analyze_song

ROOT = Path(__file__).parents[2]
SONGS = 6


@flow
def a_flow() -> None: ...


@task
def a_task() -> None: ...


def test_a_busy_server_of_ours_answers_when_it_can(prefect_api: None, prefect_api_home: Path) -> None:
    """The request reads before it writes, as most do: SQLite refuses such a one at once, and Prefect's client asks only so often."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(a_flow)
        with held(prefect_api_home / "prefect.db", seconds=5) as over:
            client.create_task_run(a_task, flow_run_id=run.id, dynamic_key="0")
            assert over.is_set()
        client.delete_flow_run(run.id)


# --- a server that is not ours ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path, prefect_home: Path) -> dict[str, str]:
    """Of the stock server and of all that uses it."""
    return {
        **os.environ,
        "PERFORMIA_DATA_DIR": str(tmp_path / "data"),
        "PERFORMIA_INBOX_DIR": str(tmp_path / "in"),
        "PERFORMIA_OUTPUT_DIR": str(tmp_path / "out"),
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests" / "support"), str(ROOT))),
        "LIGHT_SECONDS": "0.3",
    }


@pytest.fixture
def stock_server(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """What `prefect server start` starts."""
    url = environment["PREFECT_API_URL"]
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(httpx.URL(url).port)]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: answers(url), "the server does not come up")
        yield url
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health").is_success
    return False


def wait_for(condition: object, complaint: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)


def scheduled(url: str, song: Path) -> UUID:
    """A run of a deployment, as a worker is to execute it."""
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        deployment = analyze_song.to_deployment("analyze-song", entrypoint_type=EntrypointType.MODULE_PATH).apply()
        return client.create_flow_run_from_deployment(deployment, parameters={"song": str(song)}).id


@pytest.mark.slow
def test_songs_wait_for_a_stock_server_whose_database_is_held_for_half_a_minute(
    stock_server: str, environment: dict[str, str], prefect_home: Path, tmp_path: Path
) -> None:
    """Songs of a batch that is under way, one that a person's own code starts then, and one that a worker does."""
    for number in range(SONGS):
        tones(tmp_path / "in" / f"{number}.wav", 200 + 50 * number)
    run = scheduled(stock_server, tones(tmp_path / "in" / "worker" / "worker.wav", 700))
    mine = tones(tmp_path / "python.wav", 800)
    out = tmp_path / "batch"
    with ExitStack() as processes:

        def start(*words: str | Path) -> subprocess.Popen[str]:
            command = [sys.executable, *map(str, words)]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            processes.callback(process.kill)
            return process

        folder = start(
            "-m", "deployments.cli.main", "analyze-folder", tmp_path / "in", "--pattern", "?.wav", "-o", out, "--at-once", "2", "--json"
        )
        wait_for(lambda: finished(out) >= 2, "no song of the batch ends")
        with held(prefect_home / "prefect.db", seconds=30):
            own = start("-c", f"from flows import analyze_song; print(analyze_song({str(mine)!r}).status)")
            worker = start("-m", "prefect", "flow-run", "execute", str(run))
        assert finished(out) < SONGS
        said = {process: process.communicate(timeout=180) for process in (folder, own, worker)}

    assert folder.returncode == 0, said[folder]
    summary = json.loads(said[folder][0])
    assert (summary["done"], summary["failed"]) == (SONGS, 0)
    assert said[own][0].split()[-1:] == ["complete"], said[own]
    assert httpx.get(f"{stock_server}/flow_runs/{run}").json()["state_name"] == "Completed", said[worker]


def finished(out: Path) -> int:
    """How many songs of a batch are done."""
    with suppress(OSError):
        return sum(song["status"] == "done" for song in json.loads((out / "manifest.json").read_text(encoding="utf-8"))["songs"])
    return 0
