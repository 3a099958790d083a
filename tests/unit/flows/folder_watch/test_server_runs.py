"""How the runs that the watch has started ended, as the server tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows.folder_watch.server_runs import deployment_id, ends_of
from tasks.common.errors import DeploymentMissing


class Server:
    """A Prefect server that knows some runs."""

    def __init__(self, states: dict[str, Any]):
        self.states = states
        self.pages: list[int] = []

    def read_flow_runs(self, flow_run_filter: Any, limit: int) -> list[Any]:
        asked = {str(one) for one in flow_run_filter.id.any_}
        self.pages.append(len(asked))
        assert len(asked) <= limit
        return [SimpleNamespace(id=UUID(run), state=state) for run, state in self.states.items() if run in asked]

    def read_deployment_by_name(self, name: str) -> Any:
        raise ObjectNotFound(Exception(name))


def test_each_end_is_told_with_its_message_and_what_goes_on_is_left_out() -> None:
    told = [Completed(message="done"), Failed(message="AUDIO_EMPTY"), Crashed(message="gone"), Cancelled(message="no"), Running(), None]
    states = {str(uuid4()): state for state in told}
    found = ends_of(Server(states), states)  # type: ignore[arg-type]
    assert [(end.end.value, end.message) for end in (found[run] for run in states if run in found)] == [
        ("completed", "done"),
        ("failed", "AUDIO_EMPTY"),
        ("crashed", "gone"),
        ("cancelled", "no"),
    ]


def test_a_run_that_somebody_deleted_counts_as_crashed() -> None:
    gone = str(uuid4())
    assert ends_of(Server({}), [gone])[gone].end.value == "crashed"  # type: ignore[arg-type]


def test_many_runs_are_asked_for_in_pages() -> None:
    runs = [str(uuid4()) for _ in range(230)]
    server = Server(dict.fromkeys(runs))
    assert ends_of(server, runs) == {}  # type: ignore[arg-type]
    assert server.pages == [100, 100, 30]


def test_a_missing_deployment_is_named() -> None:
    with pytest.raises(DeploymentMissing, match="analyze-song/analyze-song"):
        deployment_id(Server({}))  # type: ignore[arg-type]
