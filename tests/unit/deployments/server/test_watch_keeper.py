"""When `performia serve` starts the watch of the inbox, and when it leaves it alone."""

from __future__ import annotations

import datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.exceptions import ObjectNotFound

from deployments.server.watch_keeper import WatchKeeper

NOW = 1_000_000.0
WATCH_ID = uuid4()


class Server:
    """What the keeper asks of Prefect's client."""

    def __init__(self) -> None:
        self.deployment: Any = SimpleNamespace(id=WATCH_ID, paused=False, schedules=[SimpleNamespace(active=True)])
        self.scheduled: list[Any] = []
        self.under_way: list[Any] = []
        self.made = 0
        self.renamed: dict[str, str] = {}

    def plan(self, name: str, in_sec: float) -> None:
        start = datetime.datetime.fromtimestamp(NOW + in_sec, datetime.UTC)
        self.scheduled.append(
            SimpleNamespace(id=name, name=name, deployment_id=WATCH_ID, flow_id="flow", auto_scheduled=True, expected_start_time=start)
        )

    def read_flow_runs(self, flow_filter: Any = None, **filters: Any) -> list[Any]:
        return self.scheduled if flow_filter is not None else self.under_way

    def read_flows(self, **filters: Any) -> list[Any]:
        return [SimpleNamespace(id="flow", name="watch-folder")]

    def read_deployment_by_name(self, name: str) -> Any:
        if self.deployment is None:
            raise ObjectNotFound(Exception("none"))
        return self.deployment

    def update_flow_run(self, run: str, name: str) -> None:
        self.renamed[run] = name

    def create_flow_run_from_deployment(self, deployment: str, **options: Any) -> None:
        self.made += 1


@pytest.fixture
def server() -> Server:
    return Server()


def keep(server: Server, keeper: WatchKeeper | None = None) -> bool:
    return (keeper or WatchKeeper(lambda: NOW)).keep(server)  # type: ignore[arg-type]


def test_where_nothing_watches_and_the_next_run_is_an_hour_away_one_is_started(server: Server) -> None:
    server.plan("miniature-badger", 3600)
    assert keep(server)
    assert server.made == 1
    assert server.renamed == {"miniature-badger": "watch-folder"}


def test_one_that_is_under_way_or_due_soon_suffices(server: Server) -> None:
    server.under_way = [object()]
    assert not keep(server)
    server.under_way = []
    server.plan("watch-folder", 20)
    assert not keep(server)
    server.scheduled.clear()
    server.plan("watch-folder", -5)  # asked for, and about to start
    assert not keep(server)
    assert server.made == 0


def test_a_person_stops_the_watch_by_pausing_it(server: Server) -> None:
    server.deployment.schedules[0].active = False
    assert not keep(server)
    server.deployment.schedules[0].active = True
    server.deployment.paused = True
    assert not keep(server)


def test_before_the_deployment_is_there_nothing_is_started(server: Server) -> None:
    server.deployment = None
    keeper = WatchKeeper(lambda: NOW)
    assert not keep(server, keeper)
    assert not keeper.settled


def test_all_is_settled_once_the_server_has_made_the_next_scheduled_run(server: Server) -> None:
    keeper = WatchKeeper(lambda: NOW)
    assert keep(server, keeper)
    assert not keeper.settled
    server.plan("miniature-badger", 3600)
    keep(server, keeper)
    assert keeper.settled


def test_a_watch_that_a_person_has_stopped_is_settled_too(server: Server) -> None:
    server.deployment.paused = True
    keeper = WatchKeeper(lambda: NOW)
    keep(server, keeper)
    assert keeper.settled


def test_a_watch_that_ends_again_and_again_is_started_less_and_less_often(server: Server) -> None:
    now = NOW
    keeper = WatchKeeper(lambda: now)
    started = []
    for _ in range(700):
        if keep(server, keeper):
            started.append(now - NOW)
        now += 2
    assert started[:3] == [0, 2, 12]
    assert max(later - sooner for sooner, later in pairwise(started)) == 300
    now += 3600
    assert keep(server, keeper)
    now += 2
    assert keep(server, keeper)  # once it has stayed, it is started again at once
