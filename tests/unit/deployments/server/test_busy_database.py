"""A server that meets a busy database, with an application that stands in for Prefect's: it answers an error, and then raises it too."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from deployments.server import busy_database
from deployments.server.busy_database import App, waiting_for_database

BUSY = OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was slept, by a clock that sleep alone moves on."""
    times: list[float] = []

    async def sleep(seconds: float) -> None:
        times.append(seconds)

    monkeypatch.setattr(busy_database, "sleep", sleep)
    monkeypatch.setattr(busy_database, "monotonic", lambda: sum(times))
    return times


class Prefect:
    """Answers as many requests with an error as there are in `failing`, and then 201 and what it was sent."""

    def __init__(self, *failing: tuple[int, Exception | None]):
        self.failing = list(failing)
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        assert "endpoint" not in scope
        scope["endpoint"] = "routed"
        received = b""
        while True:
            message = await receive()
            received += message["body"]
            if not message["more_body"]:
                break
        status, error = self.failing.pop(0) if self.failing else (201, None)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": received if status == 201 else b"no", "more_body": False})
        if error is not None:
            raise error


def ask(app: App) -> tuple[int, bytes]:
    """Send a request in two parts; the status and body of the answer. Raises what the application raises, if it answered before."""
    request = [
        {"type": "http.request", "body": b"a so", "more_body": True},
        {"type": "http.request", "body": b"ng", "more_body": False},
    ]
    answer: list[Any] = []

    async def receive() -> Any:
        return request.pop(0)

    async def send(message: Any) -> None:
        answer.append(message)

    async def run() -> None:
        await app({"type": "http"}, receive, send)

    try:
        asyncio.run(run())
    finally:
        assert [message["type"] for message in answer] == ["http.response.start", "http.response.body"]
    return answer[0]["status"], answer[1]["body"]


def test_a_request_waits_while_the_database_is_busy() -> None:
    prefect = Prefect((503, BUSY), (500, NoFreeConnection("QueuePool limit")), (503, BUSY))
    assert ask(waiting_for_database(prefect)) == (201, b"a song")
    assert prefect.calls == 4


@pytest.mark.parametrize("refusal", [(503, BUSY), (500, NoFreeConnection("QueuePool limit"))])
def test_a_database_that_stays_busy_is_said_to_be_in_a_way_that_clients_ask_again(
    refusal: tuple[int, Exception], slept: list[float]
) -> None:
    prefect = Prefect(*[refusal] * 1000)
    assert ask(waiting_for_database(prefect, patience_sec=15)) == (503, b"no")
    assert sum(slept) == pytest.approx(15, abs=0.4)
    assert prefect.calls == len(slept) + 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, RuntimeError("a bug")),
        (500, OperationalError("INSERT", {}, sqlite3.OperationalError("no such table"))),
        (503, None),  # as `/ready` answers
        (409, None),
    ],
)
def test_any_other_answer_is_passed_on_at_once(status: int, error: Exception | None) -> None:
    prefect = Prefect((status, error))
    app = waiting_for_database(prefect)
    if error is None:
        assert ask(app) == (status, b"no")
    else:
        with pytest.raises(type(error)):
            ask(app)
    assert prefect.calls == 1


def test_what_is_no_request_is_left_alone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    asyncio.run(_call(waiting_for_database(app), scope, receive, send))
    assert seen == [(scope, receive, send)]


async def _call(app: Callable[..., Any], *arguments: Any) -> None:
    await app(*arguments)
