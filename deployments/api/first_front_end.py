"""The calls of the first front end, over those of version 1: `/api/…`, `/ws/analyze/{job_id}`. PERFORMIA_API_FIRST_FRONT_END=false leaves
them out.

What that client sends, and how it reads the answers, is not described here but met: it asks every second, knows four states, wants `detail`
in an error, and sends each file twice, which is one job as everywhere. The document of the API does not have these calls: nobody is to
build on them.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import re
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse

from deployments.api import jobs
from deployments.api.access import Admin, DeskHere, LibraryHere, LimitsHere, Reader, SettingsHere, Writer, WritersHere
from deployments.api.desk import Desk
from deployments.api.file_answers import ServedFile, file_answer
from deployments.api.job_view import Snapshot, job_id, job_of
from deployments.api.keys import who_asks
from deployments.api.library.library import Library
from deployments.api.problems import ProblemError
from deployments.api.service import own_version
from deployments.api.song_files import SongFiles, first_view_of, media_type_of
from schemas.api.jobs import FINAL, Job, JobEvent, JobState, StepState
from tasks.common.confinement import is_inside
from tasks.common.errors import JobUnknown, PerformiaError
from tasks.common.settings import Settings

logger = logging.getLogger(__name__)

router = APIRouter(tags=["first front end"], include_in_schema=False)

_STATUS: Final = {
    JobState.queued: "pending",
    JobState.running: "processing",
    JobState.completed: "complete",
    JobState.partial: "complete",
    JobState.failed: "error",
    JobState.cancelled: "error",
}
_STEMS: Final = ("vocals", "bass", "drums", "other", "instrumental")
_DONE: Final = (JobState.completed, JobState.partial)
_JOB: Final = re.compile(r"[0-9a-f]{32}")
#: Prefect's server gives no more at once.
_MOST_LISTED: Final = 200
_DAYS: Final = 7


@router.get("/")
async def greet(key: Reader) -> dict[str, str]:  # noqa: ARG001 (asked for, not read)
    return {"name": "Performia", "version": own_version(), "status": "operational"}


@router.get("/health")
async def read_health(key: Reader, desk: DeskHere) -> dict[str, Any]:  # noqa: ARG001 (asked for, not read)
    return {"status": "healthy", "jobs_count": len(await desk.runs.newest(_MOST_LISTED))}


@router.post("/api/analyze")
async def analyze(
    request: Request,
    key: Writer,
    settings: SettingsHere,
    desk: DeskHere,
    limits: LimitsHere,
    library: LibraryHere,
    writers: WritersHere,
) -> Response:
    answer = await jobs.create_job(request, key, settings, desk, limits, library, writers)
    job = json.loads(bytes(answer.body))
    said = {"job_id": job["id"], "status": "pending", "message": f"{job['name']} is being analysed"}
    return JSONResponse(said, answer.status_code)


@router.get("/api/status/{job}")
async def read_status(job: str, key: Reader, desk: DeskHere) -> dict[str, Any]:  # noqa: ARG001 (asked for, not read)
    return _status(job_of(await _snapshot(desk, job)))


@router.get("/api/songmap/{job}")
async def read_song_map(job: str, key: Reader, desk: DeskHere, library: LibraryHere) -> Response:  # noqa: ARG001 (asked for, not read)
    found = job_of(await _snapshot(desk, job))
    if found.state not in FINAL:
        return _detail(HTTPStatus.ACCEPTED, "The song is being analysed")
    if found.state not in _DONE:
        return _detail(HTTPStatus.INTERNAL_SERVER_ERROR, _error_of(found) or "The analysis failed")
    folder = None if found.song_id is None else await asyncio.to_thread(library.folder_of, found.song_id)
    if folder is None:
        return _detail(HTTPStatus.NOT_FOUND, "The song was deleted")
    view = json.loads(await asyncio.to_thread(first_view_of, folder))
    return JSONResponse({"job_id": found.id, "song_map": view, "elapsed": found.seconds})


@router.get("/api/jobs")
async def list_jobs(key: Reader, desk: DeskHere) -> dict[str, Any]:  # noqa: ARG001 (asked for, not read)
    snapshots = await desk.of_runs(await desk.runs.newest(_MOST_LISTED))
    return {"count": len(snapshots), "jobs": [_status(job_of(snapshot, with_steps=False)) for snapshot in snapshots]}


# Before the call with an id: `cleanup` is none.
@router.delete("/api/jobs/cleanup")
async def clean_up(
    key: Admin, settings: SettingsHere, desk: DeskHere, library: LibraryHere, days: Annotated[int, Query(ge=0, le=36500)] = _DAYS
) -> dict[str, Any]:
    """Jobs that were accepted so long ago and have ended go, with their uploads. Songs stay: a person deletes each by itself."""
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    gone = 0
    seen: set[str] = set()
    while old := [run for run in await desk.runs.newest(_MOST_LISTED, FINAL, before=before) if job_id(run) not in seen]:
        for run in old:
            seen.add(job_id(run))
            before = min(before, run.expected_start_time or before)
            try:
                await jobs.delete_job(job_id(run), key, settings, desk, library, keep_song=True)
                gone += 1
            except (PerformiaError, ProblemError):
                logger.warning("A job could not be cleaned up", exc_info=True)
    return {"message": f"{gone} jobs were deleted", "deleted_count": gone, "retention_days": days}


@router.delete("/api/jobs/{job}")
async def delete_job(job: str, key: Writer, settings: SettingsHere, desk: DeskHere, library: LibraryHere) -> dict[str, str]:
    await jobs.delete_job(_id(job), key, settings, desk, library)
    return {"message": "The job was deleted", "job_id": job}


@router.head("/api/audio/{job}/original")
@router.get("/api/audio/{job}/original")
async def read_original(
    job: str,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    settings: SettingsHere,
    desk: DeskHere,
    library: LibraryHere,
) -> Response:
    snapshot = await _snapshot(desk, job)
    return await asyncio.to_thread(_original, request, snapshot, settings, library)


@router.head("/api/audio/{job}/stem/{name}")
@router.get("/api/audio/{job}/stem/{name}")
async def read_stem(
    job: str,
    name: str,
    request: Request,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    settings: SettingsHere,
    desk: DeskHere,
    library: LibraryHere,
) -> Response:
    if name not in _STEMS:
        return _detail(HTTPStatus.BAD_REQUEST, f"A stem is one of {', '.join(_STEMS)}")
    song = job_of(await _snapshot(desk, job)).song_id
    folder = None if song is None else await asyncio.to_thread(library.folder_of, song)
    if folder is None:
        return _detail(HTTPStatus.NOT_FOUND, "There is no stem yet")
    return await asyncio.to_thread(lambda: file_answer(request, SongFiles(folder, settings).stem(name)))


@router.websocket("/ws/analyze/{job}")
async def follow(socket: WebSocket, job: str) -> None:
    """What happens to a job, in that client's words; ends with `complete` or `error`."""
    desk: Desk = socket.app.state.desk
    await socket.accept()
    try:
        who_asks(socket, "read")
        await socket.send_json(_message("connected", job_of(await _snapshot(desk, job))))
        hearing = asyncio.create_task(jobs.until_gone(socket))
        try:
            async for event in desk.events(job, None):
                if hearing.done():
                    return
                if event is not None and (said := _said(event)) is not None:
                    await socket.send_json(said)
        finally:
            hearing.cancel()
        await socket.close()
    except (ProblemError, PerformiaError):
        await socket.send_json({"type": "error", "job_id": job, "message": "There is no such job, or no key for it"})
        await socket.close(4404)
    except (WebSocketDisconnect, RuntimeError):
        return


def _said(event: JobEvent) -> dict[str, Any] | None:
    """An event in that client's words; None for what it has none for."""
    base = {"job_id": event.job_id, "status": _STATUS[event.state], "progress": event.progress}
    if event.type == "started":
        return {**base, "type": "started", "service": None, "message": "The analysis has begun"}
    if event.type == "step" and event.step is not None:
        done = event.step.state in (StepState.done, StepState.cached, StepState.failed)
        message = event.step.message or event.step.title
        return {**base, "type": "service_complete" if done else "progress", "service": event.step.name, "message": message}
    if event.type == "ended" and event.job is not None:
        return _message("complete" if event.state in _DONE else "error", event.job)
    return None


def _message(kind: str, job: Job) -> dict[str, Any]:
    status = _STATUS[job.state]
    return {
        "type": kind,
        "job_id": job.id,
        "service": None,
        "status": status,
        "progress": job.progress,
        "message": _error_of(job) or f"{job.name}: {status}",
    }


def _status(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "status": _STATUS[job.state],
        "progress": job.progress,
        "elapsed": job.seconds,
        "estimated_remaining": job.seconds_left,
        "error_message": _error_of(job),
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "completed_at": job.ended_at.isoformat() if job.ended_at else None,
    }


def _error_of(job: Job) -> str | None:
    """Why a job came to nothing, on one line."""
    if job.state is JobState.cancelled:
        return "The job was cancelled"
    return f"{job.problem.detail}. {job.problem.todo}." if job.problem else None


def _original(request: Request, snapshot: Snapshot, settings: Settings, library: Library) -> Response:
    """What was sent, which is there before there is a map; else what the song's folder leads to."""
    sent = Path(str(snapshot.run.parameters.get("song") or ""))
    readable = (*(settings.input_roots or (settings.inbox,)), settings.uploads)
    if sent.is_absolute() and is_inside(sent, readable) and sent.is_file():
        return file_answer(request, ServedFile(sent, media_type_of(sent), sent.name))
    song = job_of(snapshot).song_id
    folder = None if song is None else library.folder_of(song)
    if folder is None:
        return _detail(HTTPStatus.NOT_FOUND, "The file is not there any more")
    return file_answer(request, SongFiles(folder, settings).source())


async def _snapshot(desk: Desk, job: str) -> Snapshot:
    return await desk.snapshot(_id(job))


def _id(job: str) -> str:
    """Raises JobUnknown for what cannot be the id of a job: this client expects 404."""
    if not _JOB.fullmatch(job):
        raise JobUnknown("There is no job of this id")
    return job


def _detail(status: HTTPStatus, text: str) -> Response:
    return JSONResponse({"detail": text}, status)
