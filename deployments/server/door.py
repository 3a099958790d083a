"""Who is let in at a server of ours: programs, and pages that the server itself has sent. No page of anybody else's that a browser shows.

A browser lets every page send requests to 127.0.0.1, and tells the server from where in headers that no page can change. Of that,

- `Host` is the name that the browser looked up. A name of somebody else's that leads here (DNS rebinding) is refused; without that, the
  browser would take that page and this server for one.
- `Origin` is where the page comes from. Browsers send it with everything that changes something, with what a page reads of another server,
  and with WebSockets, of which neither CORS nor Prefect's CSRF protection knows.
- `Sec-Fetch-Site` says the same of pictures, scripts and frames. From elsewhere only a link is followed: a page of its own in the browser.

Programs that are no browsers send no `Origin` and no `Sec-Fetch-Site`. Who else of this machine may talk to a server, a password says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

#: What a name that leads to this machine only may be.
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
_POLICY_VIOLATION: Final = 1008
_SHOWN_IN_PAGES: Final = (b"image", b"audio", b"video")
_NO_FRAMES: Final = [
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
]


@dataclass(frozen=True)
class Door:
    """What may come in.

    hosts: names that lead here besides the loopback's, without port. origins: of other pages that may do everything, as `Origin` says them;
    `*`: all. pages: `host:port` of pages that may show pictures and sound from here, and nothing else.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()

    def refusal(self, scope: Any) -> str | None:
        """Why a request or WebSocket is not let in, in words for whoever sent it; None where it is."""
        headers = _headers(scope)
        host = _only(headers, b"host")
        if host is None or name_of(host) not in self.hosts.union(LOOPBACK_NAMES):
            return "This server does not answer to that name. PERFORMIA_ALLOWED_HOSTS says to which names it does."
        if "*" in self.origins:
            return None
        if b"origin" in headers:
            origin = _only(headers, b"origin") or "null"
            if origin in self.origins or _authority(origin) == host.lower():
                return None
            return "This server answers no pages but its own. PREFECT_SERVER_CORS_ALLOWED_ORIGINS names others."
        from_here = headers.get(b"sec-fetch-site", [b"none"])[0] in (b"none", b"same-origin")
        if from_here or _is_followed_link(scope, headers) or self.shows(scope):
            return None
        return "This server is part of no page but its own."

    def shows(self, scope: Any) -> bool:
        """Whether a page that may show files asks for one to show."""
        if not self.pages:
            return False
        headers = _headers(scope)
        page = _authority(_only(headers, b"referer") or "")
        return page in self.pages and headers.get(b"sec-fetch-dest", [b""])[0] in _SHOWN_IN_PAGES


def guarded(app: Any, door: Door, own: Iterable[tuple[bytes, bytes]] = _NO_FRAMES) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The ASGI application behind the door. own: headers of every answer, besides the one that says which pages may include it."""
    own = tuple(own)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        if (reason := door.refusal(scope)) is not None:
            await _refuse(scope, send, reason)
            return
        policy = b"cross-origin" if "*" in door.origins or door.shows(scope) else b"same-origin"

        async def send_on(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *own, (b"cross-origin-resource-policy", policy)]}
            await send(message)

        await app(scope, receive, send_on)

    return answer


def name_of(host: str) -> str:
    """The name in a `Host` header, without its port: `localhost` of `LOCALHOST:4200`, `[::1]` of `[::1]:4200`."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def pages_at(url: str, hosts: Iterable[str] = ()) -> frozenset[str]:
    """`host:port` of the pages at a URL, by every name that its server answers to. hosts: names besides the loopback's, at any port."""
    parts = urlsplit(url)
    names = {parts.netloc.rpartition("@")[2]}
    if name_of(parts.netloc) in LOOPBACK_NAMES:
        names |= {f"{name}:{parts.port}" if parts.port else name for name in LOOPBACK_NAMES}
    return frozenset(names | set(hosts))


def _is_followed_link(scope: Any, headers: dict[bytes, list[bytes]]) -> bool:
    navigates = headers.get(b"sec-fetch-mode") == [b"navigate"] and headers.get(b"sec-fetch-dest") == [b"document"]
    return navigates and scope.get("method") in ("GET", "HEAD")


def _authority(url: str) -> str:
    """`host:port` of a URL, with whatever else stands before its path: it is only compared, and nothing in it can be an error."""
    return url.partition("://")[2].partition("/")[0]


def _headers(scope: Any) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        found.setdefault(bytes(name).lower(), []).append(bytes(value))
    return found


def _only(headers: dict[bytes, list[bytes]], name: bytes) -> str | None:
    """The value of a header; None where it is absent or there are several."""
    values = headers.get(name, [])
    return values[0].decode("latin-1") if len(values) == 1 else None


async def _refuse(scope: Any, send: Any, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        return
    body = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    await send({"type": "http.response.start", "status": HTTPStatus.FORBIDDEN, "headers": headers})
    await send({"type": "http.response.body", "body": body})
