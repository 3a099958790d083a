"""The events of a job as clients that nobody of us wrote read them: a browser's EventSource and WebSocket, and httpx-sse."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import light_engines as light
import pytest
from api_service import ApiService, numbers, serving
from browser import BROWSER
from httpx_sse import connect_sse
from prefect.client.orchestration import get_client
from service import free_port, tones

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine"),
]

CHORDS = "tasks.chords.recognize.recognize_chords"
TYPES = ["queued", "queue", "started", "step", "ended"]
#: What a page does that follows a job: nothing at all about connections.
FOLLOW = """([path, types]) => {
  window.seen = [];
  window.source = new EventSource(path);
  for (const type of types)
    source.addEventListener(type, (message) => seen.push({ ...JSON.parse(message.data), last: message.lastEventId }));
}"""
SOCKET = """([path, after]) => new Promise((resolve) => {
  const found = [], socket = new WebSocket(location.origin.replace("http", "ws") + path + "?after=" + after);
  socket.onmessage = (message) => found.push(JSON.parse(message.data));
  socket.onclose = (end) => resolve({ found, code: end.code });
})"""


@pytest.fixture
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        browser = found.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@pytest.fixture
def deployment() -> Iterator[None]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    yield
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


@pytest.mark.usefixtures("deployment")
def test_a_browser_sees_every_event_as_it_happens_and_goes_on_by_itself_after_the_api_was_away(
    page: Any, light_engines: dict[str, Callable[..., Any]], tmp_path: Path
) -> None:
    told, go_on = threading.Event(), threading.Event()

    def chords(source: Any, plan: Any, ctx: Any) -> Any:
        ctx.progress(0.4, "listening")
        told.set()
        go_on.wait(120)
        return light.chords(source, plan, ctx)

    light_engines[CHORDS] = chords
    port = free_port()
    with ExitStack() as stack:
        first = stack.enter_context(serving(port))
        job = first.send(tones(tmp_path / "a song.wav", 223.0)).json()["id"]
        path = f"/v1/jobs/{job}/events"
        page.goto(f"{first.url}/docs")  # a page of the API's own origin
        page.evaluate(FOLLOW, [path, TYPES])
        wait(page, "seen.some((event) => event.type === 'queue')")
        working = first.work(job)
        assert told.wait(120)
        wait(page, "seen.some((event) => event.step?.message === 'listening')")  # while it is under way
    early = page.evaluate("seen")
    assert "ended" not in [event["type"] for event in early]
    go_on.set()
    working.join(120)

    with serving(port) as second:
        wait(page, "source.readyState === EventSource.CLOSED")  # by the 204 after the end
        seen = page.evaluate("seen")
        assert seen[: len(early)] == early
        last = max(numbers(early))
        rest = page.evaluate(SOCKET, [path, last])
        whole = second.events(job)
        by_library = _by_library(second, path)
    assert numbers(seen) == numbers(whole) == by_library
    assert [event["last"] for event in seen if event["id"] is not None] == [str(number) for number in numbers(whole)]
    assert (seen[-1]["type"], seen[-1]["job"]["state"]) == ("ended", "completed")
    assert numbers(rest["found"]) == [number for number in numbers(whole) if number > last]
    assert rest["code"] == 1000


def wait(page: Any, condition: str) -> None:
    """Until it holds in the page. Playwright's own way of waiting is one that the page's Content-Security-Policy forbids."""
    until = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < until, f"not within a minute: {condition}; {page.evaluate('seen')}"
        time.sleep(0.05)


def _by_library(api: ApiService, path: str) -> list[int]:
    """The numbers of the events as httpx-sse reads them: of all that have data, the `id` that goes with it."""
    with httpx.Client(base_url=api.url, timeout=30) as client, connect_sse(client, "GET", path) as source:
        found = [event for event in source.iter_sse() if event.data]
    for event in found:
        data = json.loads(event.data)
        assert (event.event, event.id) == (data["type"], str(data["id"]))
    return [int(event.id) for event in found]
