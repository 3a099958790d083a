"""Slots of a server that does not answer; `tests/integration/test_slots_and_liveness.py` has those of one that does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from tasks.common.errors import ApiUnreachable
from tasks.common.orchestration import slots


class Server:
    """Stands in for Prefect's client: nothing is there, or nothing that has limits."""

    api_url = "http://127.0.0.1:1/api"

    def __init__(self) -> None:
        self.is_there = False
        self.retries: list[int] = []

    def increment_concurrency_slots_with_lease(self, *_: Any) -> httpx.Response:
        self.retries.append(PREFECT_CLIENT_MAX_RETRIES.value())
        if not self.is_there:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json={"lease_id": "x", "limits": []})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(slots, "_GIVE_UP_SEC", 0.2)
    monkeypatch.setattr(slots, "_POLL_SEC", 0.01)
    monkeypatch.setattr(slots, "_given_up", set())
    return Server()


def wait_for_slot(server: Any) -> None:
    slots._acquire(server, ("gpu",), lambda: None)


def test_a_server_that_does_not_answer_is_given_up_once_and_not_by_every_step_anew(server: Server) -> None:
    with pytest.raises(ApiUnreachable):
        wait_for_slot(server)
    asked = len(server.retries)
    assert asked > 1
    with pytest.raises(ApiUnreachable):
        wait_for_slot(server)
    assert len(server.retries) == asked + 1
    server.is_there = True
    wait_for_slot(server)
    server.is_there = False
    with pytest.raises(ApiUnreachable):
        wait_for_slot(server)
    assert len(server.retries) > asked + 3


def test_the_client_does_not_wait_beside_the_one_who_waits(server: Server) -> None:
    """Its two minutes and ours would multiply."""
    with pytest.raises(ApiUnreachable):
        wait_for_slot(server)
    assert max(server.retries) <= 1
