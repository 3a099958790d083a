"""The history of a run's steps: numbered once, whole after every failure, and the same for every reader."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from flows.run.progress_log import ProgressLog, attempt_of, history_of
from tasks.common.progress import StepEvent

RUN = str(uuid.uuid4())


class Server:
    """Keeps artifacts. failing: how many of the next writes break off; half of them after the server has taken them."""

    def __init__(self) -> None:
        self.parts: dict[uuid.UUID, Any] = {}
        self.failing = 0

    def read_artifacts(self, artifact_filter: Any) -> list[Any]:
        return [SimpleNamespace(data=data) for data in self.parts.values()]

    def create_artifact(self, artifact: Any) -> Any:
        made = uuid.uuid4()
        if self.failing % 2:
            self.parts[made] = artifact.data
        self._may_fail()
        self.parts[made] = artifact.data
        return SimpleNamespace(id=made)

    def update_artifact(self, artifact_id: uuid.UUID, artifact: Any) -> None:
        self._may_fail()
        self.parts[artifact_id] = artifact.data

    def _may_fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError("gone")


def event(step: str, kind: Any, fraction: float | None = None, message: str = "") -> StepEvent:
    return StepEvent(RUN, step, kind, fraction, message)


def test_what_happens_is_numbered_in_order_and_what_nobody_saw_is_left_out() -> None:
    server, log = Server(), ProgressLog(RUN)
    log.write(server)
    for what in (
        event("asr", "started"),
        event("asr", "progress", 0.0, "waiting for a slot (gpu)"),
        event("asr", "progress", 0.2),
        event("asr", "progress", 0.3, "segment 3"),  # the one before was not written yet
        event("asr", "progress", 0.301),  # no news
        event("asr", "failed", message="no memory"),
        event("chords", "finished", 1.0, "cached"),
    ):
        log.add(what)
    log.write(server)
    log.write(server, closed=True)
    history = history_of(server.parts.values(), 1)
    assert [(entry.number, entry.step, entry.kind, entry.fraction, entry.message) for entry in history.entries] == [
        (1, "", "began", 0.0, ""),
        (2, "asr", "works", 0.0, ""),
        (3, "asr", "waits", 0.0, "waiting for a slot (gpu)"),
        (4, "asr", "works", 0.3, "segment 3"),
        (5, "asr", "failed", 0.3, "no memory"),
        (6, "chords", "cached", 1.0, ""),
    ]
    assert history.closed
    assert len(server.parts) == 1


def test_writes_that_break_off_lose_nothing_and_repeatNothing() -> None:
    server, log = Server(), ProgressLog(RUN)
    seen: list[int] = []
    for number in range(1000):
        log.add(event("asr", "progress" if number % 2 else "finished", (number % 2) * 0.5))
        if number % 7 == 0:
            server.failing = number % 4
            with pytest.raises(ConnectionError) if server.failing else Nothing():
                log.write(server)
            history = history_of(server.parts.values(), 1)
            assert [entry.number for entry in history.entries][: len(seen)] == seen  # what a reader saw stays
            seen = [entry.number for entry in history.entries]
    server.failing = 0
    log.write(server, closed=True)
    history = history_of(server.parts.values(), 1)
    assert [entry.number for entry in history.entries] == list(range(1, 1002))
    assert max(len(part["entries"]) for part in server.parts.values()) == 100


def test_another_process_of_the_same_attempt_numbers_on_and_another_attempt_begins_anew() -> None:
    server = Server()
    ProgressLog(RUN).write(server)
    again = ProgressLog(RUN)
    again.write(server)
    assert [entry.number for entry in history_of(server.parts.values(), 1).entries] == [1, 2]
    ProgressLog(RUN, attempt=2).write(server)
    assert [entry.number for entry in history_of(server.parts.values(), 2).entries] == [1]
    assert history_of([None, "text", {"attempt": 3}], 1).last == 0


def test_a_history_that_a_later_process_goes_on_with_is_closed_no_more() -> None:
    server = Server()
    ProgressLog(RUN).write(server, closed=True)
    again = ProgressLog(RUN)
    assert history_of(server.parts.values(), 1).closed
    again.write(server)
    assert not history_of(server.parts.values(), 1).closed
    again.write(server, closed=True)
    assert history_of(server.parts.values(), 1).closed


def test_the_attempt_is_read_from_the_tags() -> None:
    assert attempt_of(["api"]) == 1
    assert attempt_of(["performia-attempt:2", "performia-attempt:11", "performia-attempt:x"]) == 11


class Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None
