"""The runs that the server has scheduled."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from flows.run.scheduled_runs import name_scheduled, next_start


def a_run(name: str, flow: UUID, deployment: UUID | None = None, at: float = 0.0, planned: bool = True) -> Any:
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return SimpleNamespace(
        id=uuid4(),
        name=name,
        flow_id=flow,
        deployment_id=deployment,
        auto_scheduled=planned,
        expected_start_time=when,
        next_scheduled_start_time=when,
    )


class Server:
    def __init__(self, flows: dict[UUID, str]):
        self.flows = flows
        self.renamed: dict[UUID, str] = {}

    def read_flows(self, flow_filter: Any) -> list[Any]:
        return [SimpleNamespace(id=flow, name=name) for flow, name in self.flows.items()]

    def update_flow_run(self, run: UUID, name: str) -> None:
        self.renamed[run] = name


def test_a_scheduled_run_is_called_like_its_flow_until_it_starts() -> None:
    prune, other = uuid4(), uuid4()
    server = Server({prune: "prune"})
    words, named, by_hand = a_run("caped-mole", prune), a_run("prune", prune), a_run("mine", prune, planned=False)
    foreign = a_run("quick-fox", other)
    assert name_scheduled(server, [words, named, by_hand, foreign]) == [words]  # type: ignore[arg-type]
    assert server.renamed == {words.id: "prune"}


def test_the_next_start_of_a_deployment_is_the_first_that_is_to_come() -> None:
    flow, ours = uuid4(), uuid4()
    runs = [a_run("prune", flow, ours, at) for at in (300.0, 100.0, 200.0)] + [a_run("prune", flow, uuid4(), 150.0)]
    assert next_start(runs, ours, after=120.0) == 200.0
    assert next_start(runs, ours, after=999.0) is None
