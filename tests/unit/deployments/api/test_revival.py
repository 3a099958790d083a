"""Jobs whose process died: taken up by one process of the API, and by none that cannot ask the server."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed, Pending

from deployments.api import revival
from deployments.api.job_view import job_id
from deployments.api.revival import Reviver
from deployments.api.runs import Runs
from tasks.common.locks import try_to_hold
from tasks.common.settings import get_settings

pytestmark = pytest.mark.usefixtures("data_dir")


def dead(**fields: Any) -> FlowRun:
    made = {"id": uuid4(), "flow_id": uuid4(), "deployment_id": uuid4(), "state": Crashed(), "tags": ["api", "sound:x"], **fields}
    return FlowRun.model_validate(made)


class Server:
    """Stands for Prefect's client, with one run."""

    def __init__(self, run: FlowRun):
        self.run = run
        self.away = 0

    async def read_flow_runs(self, **_: Any) -> list[FlowRun]:
        if self.away:
            self.away -= 1
            raise ConnectionError("away")
        return [self.run] if self.run.state and self.run.state.is_crashed() else []

    async def read_flow_run(self, which: Any) -> FlowRun:
        return self.run

    async def update_flow_run(self, which: Any, tags: list[str]) -> None:
        self.run = self.run.model_copy(update={"tags": tags})

    async def set_flow_run_state(self, which: Any, state: Any, force: bool) -> None:
        self.run = self.run.model_copy(update={"state": state})


class Desk:
    def __init__(self, server: Server):
        self.runs = Runs(server)  # type: ignore[arg-type]
        self.forgotten: list[str] = []

    def forget(self, job: str) -> None:
        self.forgotten.append(job)


def test_a_dead_job_is_to_start_again_and_its_deaths_are_counted() -> None:
    server = Server(dead())
    desk = Desk(server)
    reviver = Reviver(desk, get_settings())  # type: ignore[arg-type]
    for deaths in range(1, 12):
        asyncio.run(reviver.look())
        if deaths <= 10:
            assert server.run.state is not None
            assert server.run.state.is_scheduled()
            assert set(server.run.tags) == {f"api-crashes:{deaths}", "api", "sound:x"}
            server.run = server.run.model_copy(update={"state": Crashed()})
    assert server.run.state is not None
    assert server.run.state.is_crashed()
    assert desk.forgotten == [job_id(server.run)] * 10


def test_one_that_goes_on_already_or_that_another_process_takes_up_is_left_alone() -> None:
    server = Server(dead())
    seen = server.run
    server.run = seen.model_copy(update={"state": Pending()})
    assert not asyncio.run(Desk(server).runs.take_up(seen))
    server.run = seen
    lock = try_to_hold(get_settings().uploads / "keys" / f"revive-{job_id(seen)}.lock")
    assert lock is not None
    asyncio.run(Reviver(Desk(server), get_settings()).look())  # type: ignore[arg-type]
    lock.release()
    assert server.run is seen


def test_a_job_that_is_cancelled_while_it_is_taken_up_stays_cancelled() -> None:
    class Cancels(Server):
        async def update_flow_run(self, which: Any, tags: list[str]) -> None:
            await super().update_flow_run(which, tags)
            self.run = self.run.model_copy(update={"state": Cancelled()})

    server = Cancels(dead())
    assert not asyncio.run(Desk(server).runs.take_up(server.run))
    assert server.run.state is not None
    assert server.run.state.is_cancelled()


def test_a_server_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "_LOOK_SEC", 0.0)
    server = Server(dead())
    server.away = 3

    async def look() -> None:
        looking = asyncio.create_task(Reviver(Desk(server), get_settings()).run())  # type: ignore[arg-type]
        while server.run.state is None or server.run.state.is_crashed():
            await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(asyncio.wait_for(look(), 10))
    assert server.away == 0
