"""What every request passes first: the hosts and pages that are let in, and headers that every answer has."""

from __future__ import annotations

from typing import Any, Final

from deployments.api.problems import ProblemError, answer_with
from deployments.server.door import Door, name_of
from tasks.common.errors import DoorClosed
from tasks.common.settings import Settings

_POLICY_VIOLATION: Final = 1008
_HEADERS: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"x-frame-options", b"SAMEORIGIN")]


class Entrance:
    """ASGI middleware. Hosts are those of PERFORMIA_ALLOWED_HOSTS and the loopback's names, pages those of PERFORMIA_API_ORIGINS."""

    def __init__(self, app: Any, settings: Settings):
        self._app = app
        origins = frozenset(settings.api_origins)
        pages = frozenset(origin.partition("://")[2] for origin in origins)
        self._door = Door(hosts=frozenset(map(name_of, settings.allowed_hosts)), origins=origins, pages=pages)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if self._door.refusal(scope) is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": DoorClosed.code})
                return
            refused = answer_with(ProblemError(DoorClosed("This service does not answer to that host or page")), scope["path"])
            await refused(scope, receive, send)
            return

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        await self._app(scope, receive, send_on)
