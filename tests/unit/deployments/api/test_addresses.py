"""Addresses that no client of good will asks for: each is answered with a problem, and asks nobody anything."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deployments.api.app import create_app

CALLS = (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"))


class NobodyAsked:
    """A desk at which nobody asks."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = create_app()
    app.state.desk = NobodyAsked()
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "job",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%5c%2e%2e%5cboot.ini",
        "%252e%252e%252f",
        "a%00b",
        "CON",
        "g" * 32,
        "A" * 32,
        "0" * 33,
        "0" * 32 + "%0a",
        "0192f5c1-a7b8-7c3e-9d2b-1f0e6a5c4d3b",
        "%e5%a4%9c",
        "%ff%fe",
        "%c0%ae%c0%ae",
        "x%0d%0aSet-Cookie:%20a=b",
    ],
)
def test_what_is_no_id_of_a_job_leads_nowhere(client: TestClient, job: str) -> None:
    for method, rest in CALLS:
        answer = client.request(method, f"/v1/jobs/{job}{rest}", follow_redirects=False)
        assert answer.status_code in (404, 405, 422), (method, rest, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "set-cookie" not in answer.headers
        assert "passwd" not in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=101", "limit=x", "state=none", "after=yesterday", "before=0", "after=1e9", "cursor=%00"),
        *("cursor=" + "a" * 9000, "q=" + "x" * 201),
    ],
)
def test_a_query_that_is_none_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "REQUEST_INVALID")


@pytest.mark.parametrize("job", ["0" * 31, "0" * 32 + "%0a", "{0192f5c1-a7b8-7c3e-9d2b-1f0e6a5c4d3b}", "%00", "CON", "%ff"])
def test_neither_does_it_by_a_socket(client: TestClient, job: str) -> None:
    with client.websocket_connect(f"ws://127.0.0.1:8000/v1/jobs/{job}/events") as socket, pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_text()
    assert (closed.value.code, closed.value.reason) == (4404, "JOB_UNKNOWN")


@pytest.mark.parametrize("path", ["/v1/jobs/" + "0" * 32 + "/events", "/ws/analyze/" + "0" * 32])
@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"host": "rebound.example"}])
def test_a_page_of_another_origin_gets_no_socket(client: TestClient, path: str, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(f"ws://127.0.0.1:8000{path}", headers=headers):
        pass
    assert closed.value.code == 1008


def test_a_page_of_another_origin_sends_nothing(client: TestClient) -> None:
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"host": "rebound.example"}):
        sent = client.post("/v1/jobs", files={"file": ("a.wav", b"x")}, headers=headers)
        assert (sent.status_code, sent.json()["code"]) == (403, "DOOR_CLOSED")
        assert "access-control-allow-origin" not in sent.headers
