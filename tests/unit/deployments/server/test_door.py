"""Who is let in at a server, by what a browser says of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from deployments.server.door import Door, guarded, name_of, pages_at

OWN = "127.0.0.1:4200"
UI = pages_at("http://127.0.0.1:4200/api", ["music.example.org"])


def scope(method: str = "GET", kind: str = "http", **headers: str) -> dict[str, Any]:
    """A request to this server; `Sec_Fetch_Site` stands for `Sec-Fetch-Site`."""
    named = {"host": OWN, **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
    return {"type": kind, "method": method, "headers": [(name.encode(), value.encode()) for name, value in named.items()]}


def is_let_in(door: Door = Door(), **asked: Any) -> bool:  # noqa: B008 (frozen)
    return door.refusal(scope(**asked)) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:4200", "LocalHost", "[::1]", "[::1]:4200"])
def test_the_names_of_the_loopback_are_ours(host: str) -> None:
    assert is_let_in(host=host)


@pytest.mark.parametrize(
    "host",
    ["", ":4200", "evil.example", "evil.example:4200", "127.0.0.1.evil.example", "localhost.evil.example:4200", "localhost@evil", "::1"],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_let_in(host=host)
    assert not is_let_in(host=host, kind="websocket")
    assert not is_let_in(Door(origins=frozenset("*")), host=host)


def test_without_a_name_or_with_two_nobody_is_let_in() -> None:
    door = Door()
    assert door.refusal({"type": "http", "method": "GET", "headers": []}) is not None
    assert door.refusal({"type": "http", "method": "GET", "headers": [(b"host", b"localhost"), (b"host", b"localhost")]}) is not None
    two = [(b"host", OWN.encode()), (b"origin", f"http://{OWN}".encode()), (b"origin", b"http://evil.example")]
    assert door.refusal({"type": "http", "method": "GET", "headers": two}) is not None


def test_names_in_the_settings_are_ours_at_any_port() -> None:
    door = Door(hosts=frozenset({"music.example.org"}))
    assert is_let_in(door, host="Music.Example.Org")
    assert is_let_in(door, host="music.example.org:8080")
    assert is_let_in(door, host="music.example.org", origin="https://music.example.org")
    assert not is_let_in(door, host="example.org")
    assert not is_let_in(door, origin="https://music.example.org")


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_pages_are_answered_that_came_from_here(kind: str) -> None:
    assert is_let_in(kind=kind)
    assert is_let_in(kind=kind, method="POST", origin=f"http://{OWN}", sec_fetch_site="same-origin")
    for origin in (
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:4201",
        "http://localhost:4200",
        "http://evil.example",
        "chrome-extension://x",
        "http://[broken",
    ):
        assert not is_let_in(kind=kind, method="POST", origin=origin)


def test_other_pages_are_answered_where_somebody_said_so() -> None:
    door = Door(origins=frozenset({"https://band.example"}))
    assert is_let_in(door, method="POST", origin="https://band.example", sec_fetch_site="cross-site")
    assert not is_let_in(door, method="POST", origin="https://evil.example")
    assert is_let_in(Door(origins=frozenset("*")), method="POST", origin="https://evil.example", sec_fetch_site="cross-site")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_from_elsewhere_only_a_link_is_followed(site: str) -> None:
    link = {"sec_fetch_site": site, "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert is_let_in(**link)
    assert is_let_in(method="HEAD", **link)
    assert not is_let_in(method="POST", **link)
    others = (("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("navigate", "object"), ("cors", "empty"))
    for mode, destination in others:
        assert not is_let_in(sec_fetch_site=site, sec_fetch_mode=mode, sec_fetch_dest=destination)
    for own in ("same-origin", "none"):
        assert is_let_in(sec_fetch_site=own, sec_fetch_mode="no-cors", sec_fetch_dest="script")


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("http://127.0.0.1:4200/artifacts", True),
        ("http://localhost:4200/", True),
        ("http://[::1]:4200/", True),
        ("https://music.example.org/", True),
        ("http://127.0.0.1:4201/", False),
        ("http://evil.example/?http://127.0.0.1:4200/", False),
        ("http://127.0.0.1:4200@evil.example/", False),
        ("http://evil.example?http://127.0.0.1:4200/", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_the_uis_pages_show_pictures_and_sound_and_nothing_else(page: str, shown: bool) -> None:
    door = Door(pages=UI)
    asked = {"referer": page, "sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    for destination in ("image", "audio", "video"):
        assert is_let_in(door, sec_fetch_dest=destination, **asked) is shown
    for destination in ("script", "iframe", "empty", "style"):
        assert not is_let_in(door, sec_fetch_dest=destination, **asked)
    assert not is_let_in(door, sec_fetch_dest="image", origin="http://evil.example", **asked)


def test_the_pages_of_a_server_have_all_the_names_of_the_loopback() -> None:
    assert pages_at("http://localhost/api") == {"127.0.0.1", "localhost", "[::1]"}
    assert pages_at("https://me:word@prefect.example:8443/api") == {"prefect.example:8443"}


@pytest.mark.parametrize(
    ("host", "name"), [("A:1", "a"), ("a", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("a:", "a:"), ("a:b", "a:b"), ("", "")]
)
def test_a_name_has_no_port(host: str, name: str) -> None:
    assert name_of(host) == name


def test_what_is_refused_never_reaches_the_application() -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["type"])
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
            await send({"type": "http.response.body", "body": b""})

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    door = guarded(app, Door())
    asyncio.run(door(scope(origin="http://evil.example"), None, send))
    assert [message.get("status") for message in sent] == [403, None]
    sent.clear()
    asyncio.run(door(scope(kind="websocket", origin="http://evil.example"), None, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert reached == []
    sent.clear()
    asyncio.run(door(scope(), None, send))
    headers = dict(sent[0]["headers"])
    assert (headers[b"a"], headers[b"x-frame-options"], headers[b"cross-origin-resource-policy"]) == (b"b", b"SAMEORIGIN", b"same-origin")
    asyncio.run(door({"type": "lifespan"}, None, send))
    assert reached == ["http", "lifespan"]
