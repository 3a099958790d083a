"""Every call wants a key with the scope that fits what it does, where there are keys."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deployments.api import first_front_end
from deployments.api.app import ROUTERS, create_app
from deployments.api.keys import add_key
from tasks.common.settings import get_settings

#: What says nothing of songs, jobs or the machine.
OPEN = {"/docs", "/v1/version", "/healthz", "/readyz", "/v1/problems/{code}"}
#: What changes more than the key's own jobs.
FOR_ADMIN = {("DELETE", "/v1/songs/{song_id}"), ("DELETE", "/api/jobs/cleanup")}


class NothingThere:
    """A desk or a library that is not to be reached."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.fixture
def client() -> TestClient:
    app = create_app(get_settings().model_copy(update={"api_requests_per_minute": 1_000_000}))
    app.state.desk = app.state.library = app.state.prefect = NothingThere()
    return TestClient(app, base_url="http://127.0.0.1:8000")


ROUTES = [route for router in (*ROUTERS, first_front_end.router) for route in router.routes]
#: (method, path) of every call that wants a key.
CALLS = [
    (method, route.path)
    for route in ROUTES
    if isinstance(route, APIRoute) and route.path not in OPEN
    for method in sorted(route.methods)
    if method not in ("HEAD", "OPTIONS")  # the first has no code in its answer, the second says nothing of songs
]


def ask(client: TestClient, call: tuple[str, str], key: str | None) -> str:
    """The code of the problem that a call is answered with."""
    method, path = call
    for name, value in (
        ("{song_id}", "0" * 16),
        ("{job_id}", "0" * 32),
        ("{job}", "0" * 32),
        ("{name}", "vocals"),
        ("{upload_id}", "0" * 32),
    ):
        path = path.replace(name, value)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    answer = client.request(method, path, headers=headers)
    assert answer.is_client_error, (call, answer.status_code)
    return str(answer.json()["code"])


@pytest.mark.parametrize("key", [None, "", "performia_wrong"])
def test_no_call_is_answered_without_a_key_that_is_known(client: TestClient, key: str | None) -> None:
    add_key(get_settings(), "phone", ["admin"])
    assert len(CALLS) > 20
    assert {call: ask(client, call, key) for call in CALLS} == dict.fromkeys(CALLS, "API_KEY_MISSING")


def test_a_key_that_may_look_changes_nothing(client: TestClient) -> None:
    key = add_key(get_settings(), "phone", ["read"])
    changing = [call for call in CALLS if call[0] != "GET"]
    assert {call: ask(client, call, key) for call in changing} == dict.fromkeys(changing, "SCOPE_MISSING")


def test_a_key_that_may_send_songs_deletes_none_of_others(client: TestClient) -> None:
    key = add_key(get_settings(), "phone", ["write"])
    assert {call: ask(client, call, key) for call in FOR_ADMIN} == dict.fromkeys(FOR_ADMIN, "SCOPE_MISSING")


def test_no_socket_is_answered_without_a_key_that_is_known(client: TestClient) -> None:
    add_key(get_settings(), "phone", ["admin"])
    sockets = [route.path for route in ROUTES if isinstance(route, WebSocketRoute)]
    paths = [path.replace("{job_id}", "0" * 32).replace("{job}", "0" * 32) for path in sockets]
    assert len(paths) == 2
    for path in paths:
        wrong = {"x-api-key": "performia_wrong"}
        with client.websocket_connect(f"ws://127.0.0.1:8000{path}", headers=wrong) as socket:
            if path.startswith("/ws/"):
                assert socket.receive_json()["type"] == "error"
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
        assert closed.value.code in (4401, 4404)
