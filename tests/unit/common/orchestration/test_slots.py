"""Slots of a server that does not answer; `tests/integration/test_slots_and_liveness.py` has those of one that does."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    slots._acquire(server, "gpu", lambda: None)


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


class Limits:
    """Stands in for Prefect's client, and a server with limits of one slot each. Who is not let in is refused though there is a slot."""

    api_url = "http://127.0.0.1:2/api"

    def __init__(self) -> None:
        self.leases: dict[uuid.UUID, set[str]] = {}
        self.let_in: Callable[[str], bool] = lambda _: True
        self.refused: set[str] = set()
        self._guard = threading.Lock()

    def increment_concurrency_slots_with_lease(self, names: list[str], *_: Any) -> httpx.Response:
        asking = threading.current_thread().name
        with self._guard:
            if not self.let_in(asking) or any(taken & set(names) for taken in self.leases.values()):
                self.refused.add(asking)
                request = httpx.Request("POST", self.api_url)
                raise httpx.HTTPStatusError("locked", request=request, response=httpx.Response(423, request=request))
            lease = uuid.uuid4()
            self.leases[lease] = set(names)
        return httpx.Response(200, json={"lease_id": str(lease), "limits": [{"name": name} for name in names]})

    def release_concurrency_slots_with_lease(self, lease: uuid.UUID) -> None:
        with self._guard:
            self.leases.pop(lease, None)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    found = Limits()

    @contextmanager
    def client(**_: Any) -> Iterator[Limits]:
        yield found

    monkeypatch.setattr(slots, "get_client", client)
    monkeypatch.setattr(slots, "_POLL_SEC", 0.01)
    monkeypatch.setattr(slots, "_absent", {})
    return found


class Step(threading.Thread):
    """Holds slots until it is told to end."""

    def __init__(self, name: str, *names: str):
        super().__init__(name=name, daemon=True)
        self.names = names
        self.has = threading.Event()
        self.end = threading.Event()
        self.start()

    def run(self) -> None:
        with slots.slots(self.names):
            self.has.set()
            self.end.wait(30)


def until(happened: Callable[[], bool]) -> None:
    for _ in range(3000):
        if happened():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_who_wants_one_slot_does_not_overtake_who_wants_two(limits: Limits) -> None:
    first = Step("first", "cpu-heavy")
    assert first.has.wait(30)
    two = Step("two", "cpu-heavy", "memory-heavy")
    until(lambda: "two" in limits.refused)
    one = Step("one", "cpu-heavy")
    one.has.wait(0.3)  # it asks, if it may
    limits.let_in = lambda asking: asking == "one"
    first.end.set()
    assert not one.has.wait(0.3), "it came later, and the server would let it in"
    limits.let_in = lambda _: True
    assert two.has.wait(30)
    assert not one.has.is_set()
    two.end.set()
    assert one.has.wait(30)
    one.end.set()
    one.join(30)
    two.join(30)
    assert limits.leases == {}


def test_who_waits_for_memory_does_not_keep_the_cpu_from_others(limits: Limits) -> None:
    first = Step("first", "memory-heavy")
    assert first.has.wait(30)
    two = Step("two", "cpu-heavy", "memory-heavy")
    until(lambda: "two" in limits.refused)
    one = Step("one", "cpu-heavy")
    assert one.has.wait(30)
    for step in (one, first):
        step.end.set()
    assert two.has.wait(30)
    two.end.set()
