"""Jobs: an analysis of a song, from the moment its file is accepted."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from schemas.api.problem import Problem
from schemas.options import AnalysisOptions
from schemas.results import Frozen
from schemas.steps import StepName

#: A run of Prefect's, without the hyphens: 32 hexadecimal digits.
JOB_ID_PATTERN = r"^[0-9a-f]{32}$"


class JobState(StrEnum):
    """`partial`: there is a Song Map, and a step is missing in it. The last four are final, until the job is retried."""

    queued = "queued"
    running = "running"
    completed = "completed"
    partial = "partial"
    failed = "failed"
    cancelled = "cancelled"


FINAL = frozenset({JobState.completed, JobState.partial, JobState.failed, JobState.cancelled})


class StepState(StrEnum):
    """`cached`: the result was there already. `skipped`: what the step reads is missing."""

    queued = "queued"
    running = "running"
    cached = "cached"
    done = "done"
    failed = "failed"
    skipped = "skipped"


class WaitReason(StrEnum):
    """Why a job does not run yet."""

    soon = "soon"
    places_taken = "places_taken"
    nobody_takes_it = "nobody_takes_it"
    paused = "paused"
    starting = "starting"


class Wait(Frozen):
    """What a queued job waits for."""

    place: int = Field(description="How many jobs are to start before this one, plus one.", ge=1)
    reason: WaitReason
    text: str = Field(description="The reason in words.", examples=["2 songs are analysed at once, and 2 are under way"])


class JobStep(Frozen):
    """How far a step is."""

    name: StepName
    title: str = Field(examples=["separate stems"])
    state: StepState
    progress: float = Field(ge=0, le=1)
    message: str = Field(default="", description="What the step is doing, or why it failed.")


class JobLinks(Frozen):
    """Paths of what belongs to a job. `song`: once it has a Song Map."""

    self: str
    events: str
    cancel: str
    retry: str
    song: str | None = None


_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0192f5c1a7b87c3e9d2b1f0e6a5c4d3b",
    "state": "running",
    "name": "Artist - Title.mp3",
    "options": {"quality": "balanced"},
    "progress": 0.37,
    "steps": [{"name": "separation", "title": "separate stems", "state": "running", "progress": 0.61, "message": "segment 11 of 18"}],
    "attempt": 1,
    "created_at": "2026-11-29T00:00:00Z",
    "started_at": "2026-11-29T00:00:03Z",
    "seconds": 41.5,
    "seconds_left": 70.2,
    "duration_sec": 187.3,
    "links": {
        "self": "/v1/jobs/0192f5c1a7b87c3e9d2b1f0e6a5c4d3b",
        "events": "/v1/jobs/0192f5c1a7b87c3e9d2b1f0e6a5c4d3b/events",
        "cancel": "/v1/jobs/0192f5c1a7b87c3e9d2b1f0e6a5c4d3b/cancel",
        "retry": "/v1/jobs/0192f5c1a7b87c3e9d2b1f0e6a5c4d3b/retry",
    },
}


class Job(Frozen):
    """An analysis of a song."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    id: str = Field(pattern=JOB_ID_PATTERN, examples=["0192f5c1a7b87c3e9d2b1f0e6a5c4d3b"])
    state: JobState
    name: str = Field(description="The name of the file.", examples=["Artist - Title.mp3"])
    options: AnalysisOptions
    progress: float = Field(ge=0, le=1, description="Of the whole job.")
    steps: tuple[JobStep, ...] = Field(default=(), description="In the order in which they are shown. Empty in lists.")
    wait: Wait | None = Field(default=None, description="While it is queued.")
    attempt: int = Field(ge=1, description="1, and one more with each retry.")
    created_at: datetime.datetime
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    seconds: float = Field(ge=0, description="How long it has run.")
    seconds_left: float | None = Field(
        default=None, ge=0, description="Expected, from what songs of this length took. Null: nothing is known, or it has ended."
    )
    duration_sec: float | None = Field(default=None, description="How long the song is, where its file says so.")
    song_id: str | None = Field(default=None, description="Of the Song Map, once there is one.")
    problem: Problem | None = Field(default=None, description="Why it failed.")
    links: JobLinks


class JobList(Frozen):
    """Jobs, the newest first. `next`: the cursor of the next page; null at the end."""

    jobs: tuple[Job, ...]
    next: str | None = None


class JobEvent(Frozen):
    """What happened to a job. `id` counts up; one that is null is no part of the history, and is not sent again.

    queued: accepted. queue: it waits for something else than before. started: a process runs it. step: a step began, went on or ended.
    ended: the state is final; `job` is the whole job. Nothing follows.
    """

    id: int | None = Field(ge=0)
    type: Literal["queued", "queue", "started", "step", "ended"]
    job_id: str = Field(pattern=JOB_ID_PATTERN)
    at: datetime.datetime
    state: JobState
    progress: float = Field(ge=0, le=1, description="Of the whole job.")
    step: JobStep | None = None
    wait: Wait | None = None
    job: Job | None = None
