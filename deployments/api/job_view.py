"""From a run of Prefect's and the history of its steps to the job that a client sees. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Final

from prefect.client.schemas.objects import FlowRun, StateType
from pydantic import ValidationError

from deployments.api.problems import problem_of, problem_of_text, without_paths
from deployments.api.runs import LENGTH_LABEL, Records, has_ended
from flows.run.progress_log import Entry, History, attempt_of
from schemas.api.jobs import FINAL, Job, JobEvent, JobLinks, JobState, JobStep, StepState, Wait
from schemas.api.problem import Problem
from schemas.options import AnalysisOptions
from schemas.steps import STEPS, StepName
from tasks.common.errors import PerformiaError

#: So many numbers of events has an attempt: the first says that it is queued, the last that it has ended.
ATTEMPT_STRIDE: Final = 1_000_000
_STATES: Final = {
    StateType.SCHEDULED: JobState.queued,
    StateType.PENDING: JobState.queued,
    StateType.PAUSED: JobState.queued,
    StateType.RUNNING: JobState.running,
    StateType.CANCELLING: JobState.running,
    StateType.COMPLETED: JobState.completed,
    StateType.FAILED: JobState.failed,
    StateType.CRASHED: JobState.failed,
    StateType.CANCELLED: JobState.cancelled,
}
_STEP_STATES: Final = {
    "waits": StepState.queued,
    "works": StepState.running,
    "cached": StepState.cached,
    "done": StepState.done,
    "failed": StepState.failed,
}


@dataclass(frozen=True)
class Snapshot:
    """Everything that is known of a job at one moment. wait: while it is queued. left: expected seconds."""

    run: FlowRun
    records: Records
    wait: Wait | None = None
    left: float | None = None

    @property
    def state(self) -> JobState:
        return state_of(self.run)

    @property
    def attempt(self) -> int:
        return attempt_of(self.run.tags)


def job_id(run: FlowRun) -> str:
    """The id of a run's job."""
    return run.id.hex


def state_of(run: FlowRun) -> JobState:
    """The state of a run's job."""
    if run.state is None:
        return JobState.queued
    if run.state.type is StateType.COMPLETED and run.state.name == "Partial":
        return JobState.partial
    if run.state.type is StateType.CRASHED and not has_ended(run):
        return JobState.queued
    return _STATES[run.state.type]


def job_of(snapshot: Snapshot, with_steps: bool = True) -> Job:
    """The job as a client sees it."""
    run, state = snapshot.run, snapshot.state
    steps = steps_of(snapshot.records.history, state)
    song = snapshot.records.song_id if state in (JobState.completed, JobState.partial) else None
    path = f"/v1/jobs/{job_id(run)}"
    length = run.labels.get(LENGTH_LABEL)
    return Job(
        id=job_id(run),
        state=state,
        name=name_of(run),
        options=options_of(run),
        progress=progress_of(snapshot.records.history, state),
        steps=steps if with_steps else (),
        wait=snapshot.wait if state is JobState.queued else None,
        attempt=snapshot.attempt,
        created_at=run.created or run.expected_start_time or datetime.datetime.fromtimestamp(0, datetime.UTC),
        started_at=run.start_time,
        ended_at=run.end_time if state in FINAL else None,
        seconds=round(max(0.0, run.estimated_run_time.total_seconds()), 3),
        seconds_left=None if state in FINAL or snapshot.left is None else round(max(0.0, snapshot.left), 1),
        duration_sec=float(length) if isinstance(length, int | float) else None,
        song_id=song,
        problem=problem_with(run, state),
        links=JobLinks(
            self=path,
            events=f"{path}/events",
            cancel=f"{path}/cancel",
            retry=f"{path}/retry",
            song=f"/v1/songs/{song}" if song else None,
        ),
    )


def name_of(run: FlowRun) -> str:
    """The name of a job's file."""
    return PurePath(str(run.parameters.get("song") or run.name or "song")).name


def options_of(run: FlowRun) -> AnalysisOptions:
    """The options of a job; the usual ones where a form held others than can be."""
    try:
        return AnalysisOptions.model_validate(run.parameters.get("options") or {})
    except ValidationError:
        return AnalysisOptions()


def problem_with(run: FlowRun, state: JobState) -> Problem | None:
    """Why a job failed."""
    if state is not JobState.failed or run.state is None:
        return None
    instance = f"/v1/jobs/{job_id(run)}"
    if run.state.type is StateType.CRASHED:
        return problem_of(PerformiaError("The process that ran the job died", "Retry the job: finished steps are kept"), instance)
    return problem_of_text(run.state.message or "", instance, _names(run))


def steps_of(history: History, state: JobState) -> tuple[JobStep, ...]:
    """How far each step is; one that runs on request is there once it has begun."""
    latest: dict[str, Entry] = {entry.step: entry for entry in history.entries if entry.step}
    shown = [name for name in STEPS if name in latest or not STEPS[name].on_request]
    return tuple(_at_the_end(_step(name, latest.get(name)), state) for name in shown)


def progress_of(history: History, state: JobState) -> float:
    """How much of a job is done, 0 to 1."""
    if state in (JobState.completed, JobState.partial):
        return 1.0
    return _overall({entry.step: entry for entry in history.entries if entry.step})


def event_base(attempt: int) -> int:
    """The number of the first event of an attempt."""
    return (attempt - 1) * ATTEMPT_STRIDE


def history_events(snapshot: Snapshot, after: int) -> Iterator[JobEvent]:
    """The events of a job's steps whose number is greater, in order."""
    base, job = event_base(snapshot.attempt), job_id(snapshot.run)
    latest: dict[str, Entry] = {}
    for entry in snapshot.records.history.entries:
        if entry.step:
            latest[entry.step] = entry
        if base + entry.number > after:
            yield JobEvent(
                id=base + entry.number,
                type="step" if entry.step else "started",
                job_id=job,
                at=_time(entry.at),
                state=JobState.running,
                progress=_overall(latest),
                step=_step(_as_step(entry.step), entry) if entry.step in STEPS else None,
            )


def queued_event(snapshot: Snapshot) -> JobEvent:
    """The first event of an attempt."""
    run = snapshot.run
    at = run.expected_start_time or run.created
    return JobEvent(
        id=event_base(snapshot.attempt),
        type="queued",
        job_id=job_id(run),
        at=at or datetime.datetime.fromtimestamp(0, datetime.UTC),
        state=JobState.queued,
        progress=0.0,
    )


def queue_event(snapshot: Snapshot) -> JobEvent:
    """It waits for something else than before. No part of the history."""
    now = datetime.datetime.now(datetime.UTC)
    return JobEvent(id=None, type="queue", job_id=job_id(snapshot.run), at=now, state=snapshot.state, progress=0.0, wait=snapshot.wait)


def ended_event(snapshot: Snapshot) -> JobEvent:
    """The last event of an attempt."""
    job = job_of(snapshot)
    at = snapshot.run.state.timestamp if snapshot.run.state is not None else datetime.datetime.now(datetime.UTC)
    return JobEvent(id=ended_number(snapshot.attempt), type="ended", job_id=job.id, at=at, state=job.state, progress=job.progress, job=job)


def ended_number(attempt: int) -> int:
    """The number of the last event of an attempt."""
    return event_base(attempt) + ATTEMPT_STRIDE - 1


def _step(name: StepName, entry: Entry | None) -> JobStep:
    title = STEPS[name].title
    if entry is None:
        return JobStep(name=name, title=title, state=StepState.queued, progress=0.0)
    message = without_paths(entry.message) if entry.message else ""
    return JobStep(name=name, title=title, state=_STEP_STATES.get(entry.kind, StepState.running), progress=entry.fraction, message=message)


def _at_the_end(step: JobStep, state: JobState) -> JobStep:
    """Once a job has ended, nothing of it goes on."""
    if state not in FINAL or step.state not in (StepState.queued, StepState.running):
        return step
    failed = step.state is StepState.running and state is JobState.failed
    return step.model_copy(update={"state": StepState.failed if failed else StepState.skipped})


def _overall(latest: dict[str, Entry]) -> float:
    done = ("cached", "done", "failed")
    fractions = {step: 1.0 if entry.kind in done else entry.fraction for step, entry in latest.items()}
    return round(min(1.0, sum(facts.share * fractions.get(step, 0.0) for step, facts in STEPS.items())), 4)


def _as_step(name: str) -> StepName:
    return next(step for step in STEPS if step == name)


def _names(run: FlowRun) -> dict[str, str]:
    song: Any = run.parameters.get("song")
    return {str(song): PurePath(str(song)).name} if song else {}


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def with_wait(snapshot: Snapshot, wait: Wait | None, left: float | None) -> Snapshot:
    """The snapshot, with what it waits for and how long it will take."""
    return replace(snapshot, wait=wait, left=left)
