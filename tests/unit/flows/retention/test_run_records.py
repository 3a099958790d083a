"""Which runs of a server are deleted, and which hold everything back."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Running

from flows.retention.run_records import oldest_current_run, prune_runs
from tasks.common.errors import ApiUnreachable


def a_run(name: str, start: float = 1000.0) -> Any:
    when = datetime.datetime.fromtimestamp(start, datetime.UTC)
    return SimpleNamespace(id=uuid4(), name=name, start_time=when, end_time=when)


class Server:
    """Gives all its runs in one page; what was started again is running."""

    def __init__(self, *runs: Any, again: tuple[Any, ...] = (), gone: tuple[Any, ...] = ()):
        self.runs, self.again, self.gone = list(runs), again, gone
        self.artifacts = {run.id: [SimpleNamespace(id=f"artifact of {run.name}")] for run in runs}
        self.deleted: list[Any] = []

    def count_flow_runs(self, **_: Any) -> int:
        return len(self.runs)

    def read_flow_runs(self, offset: int = 0, **_: Any) -> list[Any]:
        return self.runs[offset:]

    def read_flow_run(self, run: UUID) -> Any:
        if run in [other.id for other in self.gone]:
            raise ObjectNotFound(Exception())
        return SimpleNamespace(state=Running() if run in [other.id for other in self.again] else Completed())

    def read_artifacts(self, artifact_filter: Any, limit: int) -> list[Any]:
        (run,) = artifact_filter.flow_run_id.any_
        return self.artifacts[run]

    def delete_artifact(self, artifact: str) -> None:
        self.deleted.append(artifact)
        for known in self.artifacts.values():
            known[:] = [one for one in known if one.id != artifact]

    def delete_flow_run(self, run: UUID) -> None:
        self.deleted.append(run)


def test_a_run_goes_after_its_artifacts() -> None:
    old = a_run("song.mp3")
    server = Server(old)
    (gone,) = prune_runs(server, 2000.0, dry_run=False)  # type: ignore[arg-type]
    assert gone.name == f"song.mp3 ({old.id})"
    assert server.deleted == ["artifact of song.mp3", old.id]


def test_a_dry_run_deletes_nothing() -> None:
    server = Server(a_run("song.mp3"))
    assert len(prune_runs(server, 2000.0, dry_run=True)) == 1  # type: ignore[arg-type]
    assert server.deleted == []


def test_one_that_was_started_again_or_is_gone_already_is_left_alone() -> None:
    again, gone = a_run("again"), a_run("gone")
    server = Server(again, gone, again=(again,), gone=(gone,))
    assert prune_runs(server, 2000.0, dry_run=False) == []  # type: ignore[arg-type]
    assert server.deleted == []


def test_the_run_that_has_been_going_on_longest_is_another_one() -> None:
    mine, other = a_run("prune", 500.0), a_run("song.mp3", 1000.0)
    found = oldest_current_run(Server(mine, other), besides=str(mine.id))  # type: ignore[arg-type]
    assert found is not None
    assert (found.name, found.start) == ("song.mp3", 940.0)  # the clocks may be a minute apart
    assert oldest_current_run(Server(mine), besides=str(mine.id)) is None  # type: ignore[arg-type]


def test_a_server_that_is_away_is_named() -> None:
    class Away(Server):
        def read_flow_runs(self, offset: int = 0, **_: Any) -> list[Any]:
            raise httpx.ConnectError("no")

    with pytest.raises(ApiUnreachable):
        oldest_current_run(Away(), besides="")  # type: ignore[arg-type]
