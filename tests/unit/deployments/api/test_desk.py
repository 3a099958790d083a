"""What clients are told of a job: everything once and in order, whatever happens between; and the server is not asked more than need be."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Running, Scheduled, State

from deployments.api import desk as module
from deployments.api.desk import Desk
from deployments.api.job_view import ATTEMPT_STRIDE
from deployments.api.runs import Records
from flows.run.progress_log import Entry, History
from schemas.api.jobs import JobEvent
from tasks.common.errors import DeploymentMissing

NOW = datetime.datetime.now(datetime.UTC)


class Runs:
    """A server with one run, whose records a test changes."""

    def __init__(self) -> None:
        self.state: State[Any] = Scheduled()
        self.entries: list[Entry] = []
        self.closed = False
        self.away = 0
        self.asked = 0
        self.id = uuid4()

    async def read(self, job: str) -> FlowRun:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise httpx.ConnectError("away")
        made = {"id": self.id, "flow_id": uuid4(), "state": self.state, "created": NOW, "expected_start_time": NOW}
        return FlowRun.model_validate(made)

    async def records(self, runs: list[FlowRun]) -> dict[Any, Records]:
        return {run.id: Records(History(tuple(self.entries), self.closed), "a" * 16) for run in runs}

    async def finished(self, limit: int) -> list[FlowRun]:
        return []

    async def count(self, *states: Any, before: Any = None) -> int:
        return 1

    async def deployment(self) -> Any:
        raise DeploymentMissing("none")

    def happens(self, step: str, kind: Any, fraction: float) -> None:
        self.entries.append(Entry(len(self.entries) + 1, NOW.timestamp(), step, kind, fraction))

    def ends(self) -> None:
        self.state, self.closed = Completed(), True


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FRESH_SEC", "_QUEUED_SEC", "_FINAL_SEC", "_AWAY_SEC"):
        monkeypatch.setattr(module, name, 0.0)


async def told(desk: Desk, after: int | None, moves: list[Any], most: int = 100) -> list[JobEvent]:
    """The events of one client. moves: what happens, one after the other, whenever there is no news."""
    found: list[JobEvent] = []
    async for event in desk.events("job", after):
        if event is None:
            if moves:
                moves.pop(0)()
        else:
            found.append(event)
            if len(found) >= most:
                break
    return found


def test_a_client_that_connects_again_misses_none_and_sees_none_twice() -> None:
    async def both() -> tuple[list[JobEvent], list[JobEvent], list[JobEvent]]:
        runs = Runs()
        desk = Desk(runs)  # type: ignore[arg-type]
        moves = [
            lambda: setattr(runs, "state", Running()),
            lambda: runs.happens("", "began", 0.0),
            lambda: setattr(runs, "away", 3),
            lambda: runs.happens("ingest", "done", 1.0),
        ]
        first = await told(desk, None, moves, most=4)
        last = max(event.id for event in first if event.id is not None)
        rest = await told(desk, last, [lambda: runs.happens("chords", "cached", 1.0), runs.ends])
        whole = await told(Desk(runs), None, [])  # type: ignore[arg-type]
        assert await told(desk, ATTEMPT_STRIDE - 1, []) == []
        return first, rest, whole

    first, rest, whole = asyncio.run(both())
    assert [event.type for event in first] == ["queued", "queue", "started", "step"]
    assert first[1].wait is not None
    assert first[1].wait.reason == "nobody_takes_it"
    assert [event.type for event in rest] == ["step", "ended"]
    numbers = [event.id for event in (*first, *rest) if event.id is not None]
    assert numbers == [event.id for event in whole if event.id is not None] == [0, 1, 2, 3, ATTEMPT_STRIDE - 1]


def test_what_the_process_of_a_run_says_last_comes_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def late() -> list[JobEvent]:
        runs = Runs()
        runs.happens("", "began", 0.0)
        runs.state = Completed()  # and its history is not closed yet
        return await told(Desk(runs), None, [lambda: runs.happens("package", "done", 1.0), runs.ends])  # type: ignore[arg-type]

    assert [event.type for event in asyncio.run(late())] == ["queued", "started", "step", "ended"]

    async def died() -> list[JobEvent]:
        runs = Runs()
        runs.happens("", "began", 0.0)
        runs.state = Completed(timestamp=NOW - datetime.timedelta(seconds=60))
        return await told(Desk(runs), None, [])  # type: ignore[arg-type]

    assert [event.type for event in asyncio.run(died())] == ["queued", "started", "ended"]


def test_many_clients_that_ask_at_once_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUEUED_SEC", 60.0)

    async def ask() -> int:
        runs = Runs()
        desk = Desk(runs)  # type: ignore[arg-type]
        await asyncio.gather(*(desk.snapshot("job") for _ in range(50)))
        await desk.snapshot("job")
        desk.forget("job")
        await desk.snapshot("job")
        await desk.snapshot("job", fresh=True)
        return runs.asked

    assert asyncio.run(ask()) == 3
