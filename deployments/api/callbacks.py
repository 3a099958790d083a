"""Who asked to be called when a job ends is called: signed as Standard Webhooks has it, and again, ever later, where nobody answers.

Only hosts that PERFORMIA_API_CALLBACK_HOSTS names are called, and no redirect is followed, so that nobody reaches inside a network with it.
That a call is due is a tag of the run, so that it outlives this process; the pauses count from the end of the job. Whoever is called twice,
by two processes of the API, sees it by the same `webhook-id`.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import hmac
import json
import logging
import time
from typing import Final
from urllib.parse import urlsplit

import httpx
from prefect.client.schemas.objects import FlowRun

from deployments.api.desk import Desk
from deployments.api.job_view import ended_event, job_id
from deployments.api.problems import ProblemError
from deployments.api.runs import CALLBACK_LABEL
from flows.run.progress_log import attempt_of
from schemas.api.jobs import FINAL
from tasks.common.errors import CallbackRefused, SettingInvalid
from tasks.common.locks import try_to_hold
from tasks.common.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SEC: Final = 2.0
_CALL_SEC: Final = 10.0
#: Seconds after the end of the job at which it is called, until somebody answers with 2xx. Then it is given up.
PAUSES_SEC: Final = (0.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
_SECRET: Final = "whsec_"


def refuse_callback(url: str, settings: Settings) -> None:
    """Raise ProblemError of CallbackRefused unless a job may be answered there."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = (parts.hostname or "").lower()
    named = host if port is None or port == {"http": 80, "https": 443}.get(parts.scheme) else f"{host}:{port}"
    allowed = {entry.lower() for entry in settings.api_callback_hosts}
    if parts.scheme not in ("http", "https") or not host or named not in allowed or parts.username is not None or len(url) > 2000:
        raise ProblemError(CallbackRefused("The service does not call that address"))


def secret_of(settings: Settings) -> bytes:
    """The secret that calls are signed with. Raises SettingInvalid."""
    try:
        return base64.b64decode((settings.api_callback_secret or "").removeprefix(_SECRET), validate=True) or _no_secret()
    except ValueError:
        return _no_secret()


def signed(secret: bytes, number: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a call (https://www.standardwebhooks.com, version 1). number: of the message. at: seconds since the epoch."""
    digest = hmac.new(secret, f"{number}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": number,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode('ascii')}",
        "content-type": "application/json",
    }


class Caller:
    """Calls whoever is to be called; `run` goes on until it is cancelled."""

    def __init__(self, desk: Desk, settings: Settings, client: httpx.AsyncClient | None = None):
        self._desk = desk
        self._settings = settings
        self._secret = secret_of(settings)
        self._client = client or httpx.AsyncClient(timeout=_CALL_SEC, follow_redirects=False, trust_env=False)
        self._tried: dict[str, int] = {}

    async def run(self) -> None:
        """Look every two seconds for jobs that have ended."""
        async with self._client:
            while True:
                try:
                    await self.look()
                except Exception:
                    logger.debug("could not look for jobs to call back", exc_info=True)
                await asyncio.sleep(_LOOK_SEC)

    async def look(self) -> None:
        """Make the calls that are due."""
        await asyncio.gather(*(self._call(run) for run in await self._desk.runs.to_call()))

    async def _call(self, run: FlowRun) -> None:
        job = job_id(run)
        number = f"{job}-{attempt_of(run.tags)}"
        waited = _seconds_since_end(run)
        due = sum(pause <= waited for pause in PAUSES_SEC)
        if self._tried.get(number, 0) >= due:
            return
        lock = try_to_hold(self._settings.uploads / "keys" / f"call-{job}.lock")
        if lock is None:
            return
        try:
            snapshot = await self._desk.snapshot(job, fresh=True)
            if snapshot.state not in FINAL:
                return
            self._tried[number] = due
            body = json.dumps({**ended_event(snapshot).model_dump(mode="json"), "type": "job.ended"}).encode()
            if await self._answers(str(run.labels.get(CALLBACK_LABEL, "")), number, body):
                await self._desk.runs.called(run)
            elif due == len(PAUSES_SEC):
                await self._desk.runs.called(run, given_up=True)
        finally:
            lock.path.unlink(missing_ok=True)
            lock.release()

    async def _answers(self, url: str, number: str, body: bytes) -> bool:
        try:
            refuse_callback(url, self._settings)  # the hosts may be others than when the job was sent
            answer = await self._client.post(url, content=body, headers=signed(self._secret, number, int(time.time()), body))
            return answer.is_success
        except (ProblemError, httpx.HTTPError, ValueError):
            return False


def _seconds_since_end(run: FlowRun) -> float:
    end = run.end_time or (run.state.timestamp if run.state is not None else None)
    return 0.0 if end is None else max(0.0, (datetime.datetime.now(datetime.UTC) - end).total_seconds())


def _no_secret() -> bytes:
    raise SettingInvalid(
        "PERFORMIA_API_CALLBACK_HOSTS names hosts, and PERFORMIA_API_CALLBACK_SECRET is no secret to sign with",
        "Set it to `whsec_` and 32 random bytes in Base64: openssl rand -base64 32",
    )
