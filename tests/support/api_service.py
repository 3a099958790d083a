"""The HTTP API for a test: in this process, on a port of its own, with light engines and the test session's Prefect server."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvicorn


class ApiService:
    """Started with `serving`. Nobody takes the jobs by themselves: `work` does."""

    def __init__(self, url: str):
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=60)

    def send(
        self,
        song: Path,
        options: dict[str, Any] | None = None,
        name: str | None = None,
        corrections: dict[str, Any] | None = None,
        **headers: str,
    ) -> httpx.Response:
        """Send a song."""
        given = {"options": options, "corrections": corrections}
        fields = {field: json.dumps(value) for field, value in given.items() if value is not None}
        with song.open("rb") as file:
            return self.client.post("/v1/jobs", files={"file": (name or song.name, file)}, data=fields, headers=headers)

    def job(self, job: str) -> dict[str, Any]:
        """A job as it is."""
        answer = self.client.get(f"/v1/jobs/{job}")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def events(self, job: str, after: str | None = None, most: int | None = None) -> list[dict[str, Any]]:
        """Every event of a job to its end, or the first so many."""
        return list(itertools.islice(self.each_event(job, after), most))

    def each_event(self, job: str, after: str | None = None) -> Iterator[dict[str, Any]]:
        """The events of a job as they come, each with what its lines `id` and `event` say. after: the number of the last one seen."""
        headers = {} if after is None else {"last-event-id": after}
        with self.client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
            answer.raise_for_status()
            line: dict[str, str] = {}
            for text in answer.iter_lines():
                name, _, value = text.partition(": ")
                if text and not text.startswith(":"):
                    line[name] = value
                elif "data" in line:
                    yield {**json.loads(line["data"]), "line_id": line.get("id"), "line_event": line.get("event")}
                    line = {}

    def work(self, job: str) -> threading.Thread:
        """Run a job in a thread, as a worker would in a process."""
        from prefect.client.orchestration import get_client
        from prefect.flow_engine import run_flow

        from flows import analyze_song

        def run() -> None:
            with get_client(sync_client=True) as client:
                found = client.read_flow_run(UUID(job))
            run_flow(analyze_song, flow_run=found, parameters=found.parameters, return_type="state")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


def numbers(events: list[dict[str, Any]]) -> list[int]:
    """Of the events that are part of the history."""
    return [event["id"] for event in events if event["id"] is not None]


@contextmanager
def serving(port: int = 0, **settings: Any) -> Iterator[ApiService]:
    """An API with these settings besides those of the environment, while the block runs. port: 0 is any that is free."""
    from deployments.api.app import create_app
    from tasks.common.settings import get_settings

    app = create_app(get_settings().model_copy(update=settings))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the API does not start"
        thread.join(0.02)
    service = ApiService(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    try:
        yield service
    finally:
        service.client.close()
        server.should_exit = True
        thread.join(10)
