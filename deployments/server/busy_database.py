"""What our servers do where SQLite is busy: they wait, where Prefect's own refuse.

SQLite lets one connection write at a time. One that begins as a writer waits for its turn; but most of Prefect's transactions read first,
and when such a one comes to write, SQLite refuses it at once if another connection is writing, or has written meanwhile. Prefect then
answers 503, with everything rolled back, and its client asks again: a few times, counted and not timed. Songs failed for that.

Here the request is tried again by the server, for less time than a client waits for an answer; that is sooner than the client would, and
the client sees a slow answer and no refusal. After that the server does refuse, and the client asks again as its settings say.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

#: Less than any client waits for an answer; Prefect's waits 60 s, and one attempt takes up to 30 s where all connections are taken.
_PATIENCE_SEC: Final = 15.0
_FIRST_PAUSE_SEC: Final = 0.05
_LONGEST_PAUSE_SEC: Final = 0.4
#: Prefect answers 500 where no connection was free, and says so by the error only.
_REFUSALS: Final = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INTERNAL_SERVER_ERROR)

App = Callable[[Any, Any, Any], Awaitable[None]]


def waiting_for_database(app: App, patience_sec: float = _PATIENCE_SEC) -> App:
    """The application, which tries a request again while the database refuses it, for up to `patience_sec`."""

    from tasks.common.orchestration.prefect_private import is_database_busy

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        body = await _body(receive)
        deadline = monotonic() + patience_sec
        pause = _FIRST_PAUSE_SEC
        while True:
            attempt = _Attempt(body, receive, send)
            try:
                await app(dict(scope), attempt.receive, attempt.send)  # what routing writes into it is of one attempt
            except Exception as error:
                if not (attempt.held and is_database_busy(error)):
                    await attempt.let_go()
                    raise
                if monotonic() + pause < deadline:
                    await sleep(pause)
                    pause = min(_LONGEST_PAUSE_SEC, 2 * pause)
                    continue
                attempt.held[0]["status"] = HTTPStatus.SERVICE_UNAVAILABLE  # after a 500, no client asks again
            await attempt.let_go()
            return

    return answer


class _Attempt:
    """One call of the application: it gets the request anew, and a refusal is held back until it is clear that it stands.

    Prefect's application answers an error and then raises it all the same.
    """

    def __init__(self, body: bytes, receive: Any, send: Any):
        self._request: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        self._receive = receive
        self._send = send
        self.held: list[Any] = []

    async def receive(self) -> Any:
        return self._request.pop() if self._request else await self._receive()

    async def send(self, message: Any) -> None:
        if self.held or (message["type"] == "http.response.start" and message["status"] in _REFUSALS):
            self.held.append(message)
        else:
            await self._send(message)

    async def let_go(self) -> None:
        for message in self.held:
            await self._send(message)


async def _body(receive: Any) -> bytes:
    """The whole body of a request: Prefect's are JSON of modest size, and one that ends early is empty."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
