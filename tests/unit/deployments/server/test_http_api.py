"""The HTTP API beside a service: started again when it dies, gone with the service."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from deployments.server import http_api
from deployments.server.http_api import HttpApi, command


def test_what_dies_is_started_again_and_ends_with_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "command", lambda port: [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"])
    with HttpApi(8000) as api:
        assert api._process is not None
        first = api._process
        assert api.revive() is False
        first.kill()
        first.wait()
        assert api.revive() is True
        second = api._process.pid
        assert second != first.pid
    deadline = time.monotonic() + 10
    while psutil.pid_exists(second):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_dies_at_once_is_started_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "command", lambda port: [sys.executable, "-S", "-c", ""])
    now, started = 1000.0, []
    monkeypatch.setattr(http_api.time, "monotonic", lambda: now)
    with HttpApi(8000) as api:
        for _ in range(100):
            assert api._process is not None
            api._process.wait()
            if api.revive():
                started.append(now - 1000.0)
            now += 2.0
    assert started == [0.0, 6.0, 26.0, 86.0, 146.0]


def test_it_runs_the_command_that_a_person_may_run() -> None:
    assert command(8123)[1:] == ["-m", "performia", "api", "--port", "8123", "--with-parent"]
