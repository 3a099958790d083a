"""What is known of the jobs, asked of the server no more often than it changes, however many clients ask."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
from prefect.client.schemas.objects import FlowRun, StateType

from deployments.api.estimate import Took, seconds_left, whole_sec
from deployments.api.job_view import (
    Snapshot,
    ended_event,
    ended_number,
    event_base,
    history_events,
    options_of,
    progress_of,
    queue_event,
    queued_event,
    with_wait,
)
from deployments.api.runs import LENGTH_LABEL, UNDER_WAY, WAITING, Records, Runs
from flows.run.progress_log import History
from schemas.api.jobs import FINAL, JobEvent, JobState, Wait, WaitReason
from tasks.common.errors import DeploymentMissing

#: How old an answer may be (s). What a step does is to be seen within a second: see `flows.run.live_progress` for the other half of it.
_FRESH_SEC: Final = 0.25
_QUEUED_SEC: Final = 1.0
_FINAL_SEC: Final = 1.0
_PAST_SEC: Final = 30.0
_PAST_RUNS: Final = 50
_AWAY_SEC: Final = 1.0
_FORGET_SEC: Final = 60.0
#: After the end of a run, its process has so long to write the end of its history. It waits five seconds for that itself.
_LAST_WORDS_SEC: Final = 6.0
#: A run that nobody has taken for so long is one that nobody takes.
_NOBODY_SEC: Final = 20.0


@dataclass
class _Known:
    at: float
    snapshot: Snapshot | None = None
    asking: asyncio.Task[Snapshot] | None = None


class Desk:
    """The jobs of a server, as one process of the API knows them."""

    def __init__(self, runs: Runs):
        self.runs = runs
        self._known: dict[str, _Known] = {}
        self._past: tuple[float, tuple[Took, ...]] = (float("-inf"), ())

    async def snapshot(self, job: str, fresh: bool = False) -> Snapshot:
        """A job as it is, or was a moment ago. Raises JobUnknown."""
        now = time.monotonic()
        self._known = {key: known for key, known in self._known.items() if now - known.at < _FORGET_SEC or known.asking}
        known = self._known.get(job)
        if not fresh and known is not None:
            if known.asking is not None:
                return await asyncio.shield(known.asking)
            if known.snapshot is not None and now - known.at < _age(known.snapshot.state):
                return known.snapshot
        known = self._known[job] = _Known(now)
        known.asking = asyncio.create_task(self._ask(job))
        try:
            known.snapshot = await asyncio.shield(known.asking)
            known.at = time.monotonic()
            return known.snapshot
        except BaseException:
            self._known.pop(job, None)
            raise
        finally:
            known.asking = None

    def forget(self, job: str) -> None:
        """Something was done to a job: the next who asks gets it as it is."""
        self._known.pop(job, None)

    async def events(self, job: str, after: int | None) -> AsyncIterator[JobEvent | None]:
        """The events of a job whose number is greater than `after`, to its end; None where nothing has happened for a moment.

        Raises JobUnknown where the job is not there, or no longer.
        """
        seen = -1 if after is None else after
        waited: Wait | None = None
        while True:
            try:
                snapshot = await self.snapshot(job)
            except httpx.HTTPError:  # the server is away for a moment; the client need not know
                yield None
                await asyncio.sleep(_AWAY_SEC)
                continue
            if event_base(snapshot.attempt) > seen:
                seen = event_base(snapshot.attempt)
                yield queued_event(snapshot)
                waited = None
            if snapshot.state is JobState.queued and snapshot.wait != waited:
                waited = snapshot.wait
                yield queue_event(snapshot)
            for event in history_events(snapshot, seen):
                seen = event.id or seen
                yield event
            if snapshot.state in FINAL and _has_said_all(snapshot):
                if ended_number(snapshot.attempt) > seen:
                    yield ended_event(snapshot)
                return
            yield None
            await asyncio.sleep(_QUEUED_SEC if snapshot.state is JobState.queued else _FRESH_SEC)

    async def of_runs(self, runs: list[FlowRun]) -> list[Snapshot]:
        """Several jobs for a list. Of those that run, the history says how far they are."""
        going = [run for run in runs if run.state is not None and run.state.type in UNDER_WAY]
        others = [run for run in runs if run not in going]
        records, past = await self.runs.records(going) | await self.runs.records(others, with_history=False), await self.past()
        return [self._with_left(Snapshot(run, records.get(run.id, _NOTHING)), past) for run in runs]

    async def past(self) -> tuple[Took, ...]:
        """What analyses took lately."""
        if time.monotonic() - self._past[0] > _PAST_SEC:
            self._past = (time.monotonic(), tuple(_took(await self.runs.finished(_PAST_RUNS))))
        return self._past[1]

    async def _ask(self, job: str) -> Snapshot:
        run = await self.runs.read(job)
        records = (await self.runs.records([run]))[run.id]
        snapshot = self._with_left(Snapshot(run, records), await self.past())
        if snapshot.state is JobState.queued:
            return with_wait(snapshot, await self._wait(run), snapshot.left)
        return snapshot

    def _with_left(self, snapshot: Snapshot, past: tuple[Took, ...]) -> Snapshot:
        if snapshot.state in FINAL:
            return snapshot
        run = snapshot.run
        length: Any = run.labels.get(LENGTH_LABEL)
        whole = whole_sec(past, float(length) if isinstance(length, int | float) else None, str(options_of(run).quality))
        done = progress_of(snapshot.records.history, snapshot.state)
        left = seconds_left(whole, done, run.estimated_run_time.total_seconds())
        return with_wait(snapshot, None, left)

    async def _wait(self, run: FlowRun) -> Wait:
        """Why a run does not run yet."""
        ahead, under_way = await asyncio.gather(self.runs.count(*WAITING, before=run.expected_start_time), self.runs.count(*UNDER_WAY))
        place = max(1, ahead)
        try:
            deployment = await self.runs.deployment()
        except DeploymentMissing:
            return Wait(place=place, reason=WaitReason.nobody_takes_it, text="Nobody analyses songs here: no service or worker is set up")
        return reason_of(run, place, under_way, deployment.paused, deployment.concurrency_limit, datetime.datetime.now(datetime.UTC))


def reason_of(run: FlowRun, place: int, under_way: int, paused: bool, limit: int | None, now: datetime.datetime) -> Wait:
    """Why a run that is to start has not started. under_way: how many are. limit: how many may be at once."""
    state = run.state
    if state is not None and state.type is StateType.CRASHED:
        return Wait(place=place, reason=WaitReason.starting, text="The process that ran it died; it is taken up again")
    if state is not None and state.type is StateType.PENDING:
        return Wait(place=place, reason=WaitReason.starting, text="Its process is being started")
    if paused:
        return Wait(place=place, reason=WaitReason.paused, text="The analysis of songs is paused in Prefect")
    if limit is not None and under_way >= limit:
        songs = "1 song is" if limit == 1 else f"{limit} songs are"
        return Wait(place=place, reason=WaitReason.places_taken, text=f"{songs} analysed at once, and {under_way} are under way")
    due = run.next_scheduled_start_time or run.expected_start_time
    if due is not None and (now - due).total_seconds() > _NOBODY_SEC:
        return Wait(place=place, reason=WaitReason.nobody_takes_it, text="No service or worker takes it: is `performia serve` running?")
    return Wait(place=place, reason=WaitReason.soon, text="The service looks every few seconds for what is to start")


_NOTHING: Final = Records(History())


def _age(state: JobState) -> float:
    if state in FINAL:
        return _FINAL_SEC
    return _QUEUED_SEC if state is JobState.queued else _FRESH_SEC


def _has_said_all(snapshot: Snapshot) -> bool:
    """Whether nothing more of a run that has ended can come."""
    history, state = snapshot.records.history, snapshot.run.state
    if history.closed or not history.entries or state is None:
        return True
    return (datetime.datetime.now(datetime.UTC) - state.timestamp).total_seconds() > _LAST_WORDS_SEC


def _took(runs: list[FlowRun]) -> list[Took]:
    found = []
    for run in runs:
        length: Any = run.labels.get(LENGTH_LABEL)
        if isinstance(length, int | float):
            found.append(Took(float(length), run.total_run_time.total_seconds(), str(options_of(run).quality)))
    return found
