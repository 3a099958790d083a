"""Calls to whoever asked for one: where to, signed how, and when again."""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import hmac
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed

from deployments.api.callbacks import PAUSES_SEC, Caller, refuse_callback, secret_of, signed
from deployments.api.job_view import Snapshot
from deployments.api.problems import ProblemError
from deployments.api.runs import CALLBACK_LABEL, Records
from flows.run.progress_log import History
from tasks.common.errors import SettingInvalid
from tasks.common.settings import Settings, get_settings

SECRET = base64.b64encode(bytes(range(32))).decode()


def settings() -> Settings:
    return get_settings().model_copy(update={"api_callback_hosts": ("hooks.example", "nas:9000"), "api_callback_secret": f"whsec_{SECRET}"})


@pytest.mark.parametrize("url", ["https://hooks.example/x?y=1", "http://HOOKS.example:80/", "http://nas:9000/done"])
def test_named_hosts_are_called(url: str) -> None:
    refuse_callback(url, settings())


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://hooks.example.evil/",
        "https://hooks.example:8443/",
        "https://hooks.example@evil.example/",
        "https://me@hooks.example/",
        "http://nas/",
        "http://127.0.0.1:4200/api",
        "http://[::1]/",
        "file:///etc/passwd",
        "//hooks.example/",
        "hooks.example",
        "http://hooks.example:x/",
        "",
    ],
)
def test_nobody_else_is(url: str) -> None:
    with pytest.raises(ProblemError, match="CALLBACK_REFUSED"):
        refuse_callback(url, settings())


def test_a_call_is_signed_as_standard_webhooks_has_it() -> None:
    headers = signed(secret_of(settings()), "msg_1", 1_700_000_000, b'{"a":1}')
    wanted = hmac.new(bytes(range(32)), b'msg_1.1700000000.{"a":1}', hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    for secret in (None, "", "whsec_", "whsec_!"):
        with pytest.raises(SettingInvalid):
            secret_of(settings().model_copy(update={"api_callback_secret": secret}))


class Runs:
    """One run whose call is due."""

    def __init__(self, run: FlowRun):
        self.run = run
        self.done: list[bool] = []

    async def to_call(self) -> list[FlowRun]:
        return [] if self.done else [self.run]

    async def called(self, run: FlowRun, given_up: bool = False) -> None:
        self.done.append(given_up)


class Desk:
    def __init__(self, runs: Runs):
        self.runs = runs

    async def snapshot(self, job: str, fresh: bool = False) -> Snapshot:
        return Snapshot(self.runs.run, Records(History(closed=True)))


def ended(seconds_ago: float, url: str = "https://hooks.example/x") -> FlowRun:
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    fields = {"id": uuid4(), "flow_id": uuid4(), "state": Completed(), "end_time": at, "labels": {CALLBACK_LABEL: url}}
    return FlowRun.model_validate(fields)


def calls(runs: Runs, answers: list[int], looks: int = 1) -> list[httpx.Request]:
    """The requests of so many looks, which are answered in turn."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(answers[len(asked) - 1], headers={"location": "http://127.0.0.1:4200/"})

    async def look() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=False)
        desk: Any = Desk(runs)
        caller = Caller(desk, settings(), client)
        for _ in range(looks):
            await caller.look()

    asyncio.run(look())
    return asked


def test_whoever_asked_is_called_once_it_has_ended() -> None:
    runs = Runs(ended(1.0))
    (asked,) = calls(runs, [204], looks=3)
    assert runs.done == [False]
    body = json.loads(asked.content)
    assert (body["type"], body["state"], body["job"]["id"]) == ("job.ended", "completed", runs.run.id.hex)
    assert asked.headers["webhook-id"] == f"{runs.run.id.hex}-1"


def test_it_is_called_again_only_as_time_goes_by_and_given_up_after_a_day() -> None:
    runs = Runs(ended(1.0))
    assert len(calls(runs, [500, 200], looks=3)) == 1
    assert runs.done == []
    runs.run = ended(PAUSES_SEC[-1] + 1)
    assert len(calls(runs, [302], looks=3)) == 1  # a redirect is no answer
    assert runs.done == [True]


def test_a_host_that_is_no_longer_named_is_not_called() -> None:
    runs = Runs(ended(1.0, "https://evil.example/"))
    assert calls(runs, []) == []
    assert runs.done == []
