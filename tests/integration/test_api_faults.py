"""Jobs of the HTTP API while everything is killed: what was accepted is done, and who waits on events misses none and sees none twice."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import ApiService, numbers
from httpx_sse import ServerSentEvent, SSEError, connect_sse
from service import Service, free_port, kill, tones

from tasks.packager.validation import validate_file

pytestmark = pytest.mark.slow

KINDS = {
    "run": ("prefect.engine", "prefect flow-run execute"),
    "Prefect's server": ("deployments.server.api_process",),
    "HTTP API": ("performia api",),
    "service": ("deployments.cli.main serve",),
}


class Client:
    """Sends a song until it is accepted, and waits on the job's events until they end, whatever becomes of the connection."""

    def __init__(self, url: str, song: Path):
        self.url = url
        self.song = song
        self.job = ""
        self.events: list[ServerSentEvent] = []
        self.connections = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not self.job:
                self._send(client)
            while not self.events or self.events[-1].event != "ended":
                self._listen(client)

    def _send(self, client: httpx.Client) -> None:
        try:
            with self.song.open("rb") as file:
                sent = client.post("/v1/jobs", files={"file": (self.song.name, file)}, headers={"idempotency-key": self.song.name})
            if sent.is_success:
                self.job = sent.json()["id"]
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)

    def _listen(self, client: httpx.Client) -> None:
        last = next((event.id for event in reversed(self.events) if event.id), "")
        try:
            with connect_sse(client, "GET", f"/v1/jobs/{self.job}/events", headers={"last-event-id": last} if last else {}) as source:
                assert source.response.status_code != httpx.codes.NO_CONTENT, "the end was sent, and the client has not seen it"
                source.response.raise_for_status()
                self.connections += 1
                self.events += source.iter_sse()
        except (httpx.HTTPError, SSEError):
            time.sleep(0.5)


def strike(service: Service, chance: random.Random) -> str:
    """Kill one kind of process, or everything, and return which; what nobody starts again is started here. Empty: there was none."""
    kind = chance.choice(("run", "run", "HTTP API", "HTTP API", "Prefect's server", "service", "all"))
    assert service.process is not None
    if kind == "all":
        service.kill_all()
    else:
        pids = sorted(pid for command in KINDS[kind] for pid in service.pids(command))
        if not pids:
            return ""
        kill(chance.choice(pids))
    if kind in ("all", "service"):
        service.process.wait()
        service.start()
    return kind


@pytest.mark.parametrize("seed", [17])
def test_twenty_kills_while_ten_jobs_run_and_clients_wait_on_events(seed: int, tmp_path: Path, prefect_home: Path) -> None:
    port = str(free_port())
    service = Service(tmp_path, prefect_home, LIGHT_SECONDS="3", PERFORMIA_PENDING_LIMIT_SEC="20", PERFORMIA_API_PORT=port)
    chance, struck = random.Random(seed), Counter[str]()
    api = ApiService(f"http://127.0.0.1:{port}")
    try:
        service.start("--at-once", "3")
        songs = [tones(tmp_path / f"song {number}.wav", 200 + 11 * number, 310) for number in range(10)]
        clients = [Client(api.url, song) for song in songs]
        service.wait(lambda: any(client.job for client in clients), 120, "no job is accepted")
        for number in itertools.count():
            time.sleep(chance.uniform(2.0, 8.0))
            if kind := strike(service, chance):
                struck[kind] += 1
            if sum(struck.values()) >= 20:
                break
            assert number < 200
            assert any(client.thread.is_alive() for client in clients), f"the jobs ended before enough was killed: {dict(struck)}"
        service.wait(lambda: not any(client.thread.is_alive() for client in clients), 900, "clients wait for ever")

        whole = {client.job: told_again(service, api, client.job) for client in clients}
        for client in clients:
            seen = [int(event.id) for event in numbered(client.events)]
            assert seen == numbers(whole[client.job]), f"{client.song.name}: missed or seen twice"
            end = whole[client.job][-1]
            assert (end["type"], end["job"]["state"]) == ("ended", "completed"), end
        assert len(whole) == len(songs)
        assert {run["id"].replace("-", "") for run in service.runs("analyze-song")} == set(whole), "one run for each accepted job"
        maps = sorted(service.songs.rglob("song_map.json"))
        assert [path.parent.name for path in maps] == sorted(song.stem for song in songs)
        assert [validate_file(path) for path in maps] == [[]] * len(songs)
        print(f"kills: {dict(struck)}; connections of each client: {[client.connections for client in clients]}")
    finally:
        service.kill_all()
        api.client.close()


def numbered(events: list[ServerSentEvent]) -> list[ServerSentEvent]:
    """Those of the history. One without a number repeats, as the standard has it, the number of the one before; a pause has no data."""
    return [event for event in events if event.data and event.event != "queue"]


def told_again(service: Service, api: ApiService, job: str) -> list[dict[str, Any]]:
    """All events of a job, for somebody who has seen none."""
    told: list[dict[str, Any]] = []

    def tells() -> bool:
        try:
            told[:] = api.events(job)
        except httpx.HTTPError:
            return False
        return True

    service.wait(tells, 120, "the HTTP API does not answer")
    return told
