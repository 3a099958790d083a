"""Jobs: send a song, see how far it is, cancel it, try it again, delete it."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, StreamingResponse
from prefect.client.schemas.objects import FlowRun, StateType
from pydantic import BeforeValidator, ValidationError

from deployments.api.access import DeskHere, LibraryHere, LimitsHere, Reader, SettingsHere, Writer, WritersHere
from deployments.api.callbacks import refuse_callback
from deployments.api.desk import Desk
from deployments.api.job_view import Snapshot, ended_number, job_id, job_of
from deployments.api.keys import Key, who_asks
from deployments.api.library.library import Library
from deployments.api.problems import ProblemError, invalid, responses
from deployments.api.resumable import ID_PATTERN, Writers, as_form, find, taken
from deployments.api.runs import WAITING, Runs, Wanted, has_ended, who_tag
from deployments.api.song_removal import remove_song
from deployments.api.uploads import UPLOAD_FIELD, Form, KeyedRequest, arriving, forget_upload, kept, named_as
from flows.folder_watch.start_runs import options_digest
from flows.run.parameters import too_long
from schemas.api.jobs import FINAL, JOB_ID_PATTERN, Job, JobEvent, JobList, JobState
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions
from schemas.results import digest_of
from tasks.common import errors as named
from tasks.common.errors import PerformiaError
from tasks.common.planning import refuse_empty_ranges
from tasks.common.settings import Settings
from tasks.ingest.first_look import FirstLook, look_into, refuse_beginning

router = APIRouter(tags=["jobs"])


def _written_out(text: Any) -> Any:
    """A number would be seconds since 1970, which the document does not offer. Raises ValueError."""
    if isinstance(text, str) and not _DATE.match(text):
        raise ValueError("a time as RFC 3339 writes it is wanted")
    return text


JobId = Annotated[str, PathParameter(pattern=JOB_ID_PATTERN, description="The job's id.")]
Moment = Annotated[datetime.datetime, BeforeValidator(_written_out)]

_KEEP_ALIVE_SEC: Final = 15.0
_RECONNECT_MS: Final = 2000
_MOST_LISTED: Final = 100
#: When to ask again for a job that was accepted.
_RETRY_AFTER_SEC: Final = 2
_QUEUE_RETRY_SEC: Final = 30
#: A run that is cancelled ends within this.
_END_SEC: Final = 15.0
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d", re.ASCII)
_JOB: Final = re.compile(JOB_ID_PATTERN)
_FORM: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "oneOf": [{"required": ["file"]}, {"required": ["upload"]}],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The song: any audio, or a video with sound."},
                        "upload": {
                            "type": "string",
                            "pattern": ID_PATTERN,
                            "description": "In place of `file`: the id of a finished upload of `/v1/uploads`.",
                        },
                        "options": {
                            "description": "JSON, as `/v1/options` describes it.",
                            "allOf": [{"$ref": "#/components/schemas/AnalysisOptions"}],
                        },
                        "lyrics": {"type": "string", "description": "The song's words, as text or LRC, to be placed where they are sung."},
                        "corrections": {
                            "description": "JSON: what was put right in the song, as a corrections.json has it.",
                            "allOf": [{"$ref": "#/components/schemas/Corrections"}],
                        },
                        "callback_url": {
                            "type": "string",
                            "format": "uri",
                            "description": "Called when the job ends, with the `ended` event, signed as Standard Webhooks has it.",
                        },
                    },
                },
                "encoding": {name: {"contentType": "application/json"} for name in ("options", "corrections")},
            }
        },
    }
}
#: Of each event of a stream.
_EVENT: Final = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "id": {"type": "string", "description": "The number of the event, where it has one."},
        "event": {"type": "string", "description": "The type of the event."},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/JobEvent"},
        },
    },
}
_AUDIO_ERRORS: Final = (
    named.AudioNotAudio,
    named.AudioNoTrack,
    named.AudioTrackMissing,
    named.AudioEmpty,
    named.AudioTruncated,
    named.AudioTooShort,
    named.AudioTooLong,
    named.AudioSilent,
    named.OptionInvalid,
)


@router.post(
    "/v1/jobs",
    status_code=HTTPStatus.ACCEPTED,
    response_model=Job,
    openapi_extra=_FORM,
    responses={
        HTTPStatus.OK: {"model": Job, "description": "The same sound with the same options is a job already."},
        HTTPStatus.ACCEPTED: {"description": "Accepted; `Location` says where the job is, `Retry-After` when to ask for it."},
        **responses(
            *_AUDIO_ERRORS,
            named.UploadTooLarge,
            named.UploadBrokenOff,
            named.UploadUnknown,
            named.UploadConflict,
            named.UploadBusy,
            named.StorageError,
            named.IdempotencyKeyBusy,
            named.IdempotencyKeyReused,
            named.DeploymentMissing,
            named.CallbackRefused,
        ),
    },
)
async def create_job(
    request: Request,
    key: Writer,
    settings: SettingsHere,
    desk: DeskHere,
    limits: LimitsHere,
    library: LibraryHere,
    writers: WritersHere,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="Within a day, the same key with the same form is the same job.")
    ] = None,
) -> Response:
    """Send a song. What cannot be analysed is refused at once; the same sound with the same options is one job."""
    with limits.upload(key.name):
        await _refuse_full_queue(desk.runs, key, settings)
        async with (
            KeyedRequest.of(settings, key.name, idempotency_key) as keyed,
            arriving(request, settings, partial(refuse_beginning, settings=settings)) as sent,
            _with_upload(sent, key, settings, writers) as form,
        ):
            options = _options(form)
            corrections = _corrections(form)
            _refuse_too_long(options, corrections)
            callback = form.fields.get("callback_url")
            if callback is not None:
                refuse_callback(callback, settings)
            asked = _digest(options, corrections)
            fingerprint = f"{form.sha256}-{asked}"
            if (job := keyed.earlier(fingerprint)) is not None:
                return _answer(await desk.snapshot(job), new=False)
            run, new = await _job_of(form, options, corrections, key, settings, desk, library)
            if callback is not None:
                await desk.runs.call_at_end(run, callback)
            keyed.remember(fingerprint, job_id(run))
    return _answer(await desk.snapshot(job_id(run), fresh=True), new)


@router.get("/v1/jobs", responses=responses())
async def list_jobs(
    key: Reader,  # noqa: ARG001 (asked for, not read)
    desk: DeskHere,
    state: Annotated[list[JobState] | None, Query(description="Only these states. May be repeated.")] = None,
    q: Annotated[str, Query(max_length=200, description="Only jobs whose file's name has this text.")] = "",
    after: Annotated[Moment | None, Query(description="Only jobs accepted at this time or later.")] = None,
    before: Annotated[Moment | None, Query(description="Only jobs accepted at this time or earlier.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_LISTED)] = 50,
    cursor: Annotated[str | None, Query(max_length=8000, description="`next` of the page before.")] = None,
) -> JobList:
    """The jobs, the newest first."""
    at = Cursor.of(cursor) if cursor else Cursor(None, ())
    if at.before is not None:
        before = at.before if before is None else min(_utc(before), at.before)
    wanted = limit + len(at.seen) + 1
    found = await desk.runs.newest(wanted, state or (), q, _utc(after) if after else None, _utc(before) if before else None)
    left = [run for run in found if job_id(run) not in at.seen]
    page = left[:limit]
    following = Cursor.after(page, at).text() if len(left) > limit else None
    return JobList(jobs=tuple(job_of(snapshot, with_steps=False) for snapshot in await desk.of_runs(page)), next=following)


@router.get("/v1/jobs/{job_id}", responses=responses(named.JobUnknown))
async def read_job(job_id: JobId, key: Reader, desk: DeskHere, response: Response) -> Job:  # noqa: ARG001 (asked for, not read)
    """A job: how far it is, what it waits for, how long it will take, why it failed."""
    snapshot = await desk.snapshot(job_id)
    response.headers["cache-control"] = "no-store"
    if snapshot.state not in FINAL:
        response.headers["retry-after"] = str(_RETRY_AFTER_SEC)
    return job_of(snapshot)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        HTTPStatus.OK: {
            "description": "Server-sent events: `event` is the type, `id` the number, `data` a JobEvent as JSON.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        HTTPStatus.NO_CONTENT: {"description": "The client has seen the end already: it is to connect no more."},
        **responses(named.JobUnknown),
    },
)
async def follow_job(
    job_id: JobId,
    key: Reader,  # noqa: ARG001 (asked for, not read)
    desk: DeskHere,
    last_event_id: Annotated[str | None, Header(description="The number of the last event that the client has seen.")] = None,
) -> Response:
    """What happens to a job, as it happens. A client that connects again sends the number of the last event; it misses none."""
    after = _event_number(last_event_id)
    snapshot = await desk.snapshot(job_id)
    if after is not None and snapshot.state in FINAL and after >= ended_number(snapshot.attempt):
        return Response(status_code=HTTPStatus.NO_CONTENT)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(desk, job_id, after), media_type="text/event-stream", headers=headers)


@router.websocket("/v1/jobs/{job_id}/events")
async def follow_job_by_socket(socket: WebSocket, job_id: str, after: str | None = None) -> None:
    """The same events, each a message. after: the number of the last one that the client has seen."""
    desk: Desk = socket.app.state.desk
    try:
        who_asks(socket, "read")
        if not _JOB.fullmatch(job_id):
            raise named.JobUnknown("There is no job of this id")
        await desk.snapshot(job_id)
    except (ProblemError, PerformiaError) as error:
        await socket.accept()
        code = error.error.code if isinstance(error, ProblemError) else error.code
        await socket.close(4000 + (404 if isinstance(error, named.JobUnknown) else 401), code)
        return
    await socket.accept()
    hearing = asyncio.create_task(until_gone(socket))
    try:
        async for event in desk.events(job_id, _event_number(after)):
            if hearing.done():
                return
            if event is not None:
                await socket.send_text(event.model_dump_json())
        await socket.close()
    except named.JobUnknown:
        await socket.close(4404, named.JobUnknown.code)
    except (WebSocketDisconnect, RuntimeError):
        return
    finally:
        hearing.cancel()


@router.post("/v1/jobs/{job_id}/cancel", status_code=HTTPStatus.ACCEPTED, responses=responses(named.JobUnknown, named.JobEnded))
async def cancel_job(job_id: JobId, key: Writer, desk: DeskHere) -> Job:
    """End a job. One that waits ends at once, one that runs within fifteen seconds. Somebody else's takes the scope `admin`."""
    run = _own(await desk.runs.read(job_id), key)
    if run.state is None or not run.state.is_cancelled():
        await desk.runs.cancel(run)
    return job_of(await desk.snapshot(job_id, fresh=True))


@router.post(
    "/v1/jobs/{job_id}/retry",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(named.JobUnknown, named.JobUnderWay, named.JobEnded, named.AudioNotFound),
)
async def retry_job(job_id: JobId, key: Writer, desk: DeskHere) -> Job:
    """Let a job that failed, was cancelled or lacks steps run again. Finished steps are kept. Somebody else's takes the scope `admin`."""
    run = _own(await desk.runs.read(job_id), key)
    snapshot = Snapshot(run, (await desk.runs.records([run]))[run.id])
    if snapshot.state is JobState.completed:
        raise named.JobEnded("The job is complete")
    if not await asyncio.to_thread(_is_there, run):
        raise named.AudioNotFound("The song's file is no longer here", "Send it again")
    await desk.runs.retry(run, key.name)
    return job_of(await desk.snapshot(job_id, fresh=True))


@router.delete("/v1/jobs/{job_id}", status_code=HTTPStatus.NO_CONTENT, responses=responses(named.JobUnknown, named.JobUnderWay))
async def delete_job(
    job_id: JobId,
    key: Writer,
    settings: SettingsHere,
    desk: DeskHere,
    library: LibraryHere,
    keep_song: Annotated[bool, Query(description="Leave the song's folder where it is.")] = False,
) -> Response:
    """Remove a job with its upload, and the song's folder. One under way is cancelled first. Somebody else's takes the scope `admin`."""
    run = await _ended_run(desk.runs, _own(await desk.runs.read(job_id), key))
    song = (await desk.runs.records([run], with_history=False))[run.id].song_id
    if await desk.runs.reading(run) <= 1:
        await asyncio.to_thread(forget_upload, Path(str(run.parameters.get("song", ""))), settings)
    if song is not None and not keep_song:
        await asyncio.to_thread(remove_song, library, settings, song)
    await desk.runs.delete(run)
    desk.forget(job_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


class Cursor:
    """Where a list goes on: at a time, without those of that time that were shown."""

    def __init__(self, before: datetime.datetime | None, seen: tuple[str, ...]):
        self.before = before
        self.seen = seen

    @classmethod
    def of(cls, text: str) -> Cursor:
        """Raises ProblemError of RequestInvalid."""
        try:
            at, *seen = json.loads(base64.urlsafe_b64decode(text.encode("ascii")))
            moment = datetime.datetime.fromisoformat(at)
            if moment.tzinfo is None or not all(isinstance(job, str) and len(job) == 32 for job in seen):
                raise ValueError(text)
        except (ValueError, TypeError) as error:
            raise ProblemError(named.RequestInvalid("The cursor is none of this list", "Leave it out for the first page")) from error
        return cls(moment, tuple(seen))

    @classmethod
    def after(cls, page: list[FlowRun], earlier: Cursor) -> Cursor:
        """What follows a page."""
        at = page[-1].expected_start_time
        seen = tuple(job_id(run) for run in page if run.expected_start_time == at)
        return cls(at, seen + earlier.seen if at == earlier.before else seen)

    def text(self) -> str:
        """Opaque to whoever gets it."""
        assert self.before is not None
        return base64.urlsafe_b64encode(json.dumps([self.before.isoformat(), *self.seen]).encode()).decode("ascii")


@asynccontextmanager
async def _with_upload(form: Form, key: Key, settings: Settings, writers: Writers) -> AsyncIterator[Form]:
    """The form, with the finished upload that it names as its file; a job has that at the end of the block, unless an error was raised.

    Raises ProblemError of UploadUnknown, UploadConflict, UploadBusy.
    """
    upload_id = form.fields.pop(UPLOAD_FIELD, None)
    if upload_id is None:
        yield form
        return
    async with writers.alone(await asyncio.to_thread(find, settings, upload_id, key)):
        upload = await asyncio.to_thread(find, settings, upload_id, key)
        whole = await asyncio.to_thread(as_form, upload, settings)
        done = False
        try:
            yield replace(whole, fields=form.fields)
            done = True
        finally:
            if done or not upload.part.exists():  # moved to where runs read it
                await asyncio.to_thread(taken, upload, whole.sha256)


async def _job_of(
    form: Form, options: AnalysisOptions, corrections: Corrections | None, key: Key, settings: Settings, desk: Desk, library: Library
) -> tuple[FlowRun, bool]:
    """The run of what has arrived, and whether it is to begin. Raises ProblemError."""
    look = await asyncio.to_thread(_look, form, options, settings)
    path = await asyncio.to_thread(kept, form, settings)
    wanted = Wanted(
        song=str(path.absolute()),
        sha256=form.sha256,
        sound=look.sound,
        name=form.name,
        options=options.model_dump(mode="json"),
        options_digest=_digest(options, corrections),
        duration_sec=look.duration_sec,
        who=key.name,
        corrections=None if corrections is None else corrections.model_dump(mode="json"),
    )
    same = await desk.runs.same(wanted)
    if same is not None and same.state is not None and same.state.is_completed():
        if await _keeps_song(same, desk, library):
            return same, False
        return await desk.runs.start(wanted, same), True
    if same is None or not await asyncio.to_thread(_is_there, same):
        return await desk.runs.start(wanted, same), True
    if has_ended(same):
        await desk.runs.retry(same, key.name)
        return same, True
    return same, False


async def _keeps_song(run: FlowRun, desk: Desk, library: Library) -> bool:
    """Whether the song that a complete run has made is still there, as far as one can tell."""
    song = (await desk.runs.records([run], with_history=False))[run.id].song_id
    if song is None or not library.complete:
        return True
    return await asyncio.to_thread(library.folder_of, song) is not None


def _look(form: Form, options: AnalysisOptions, settings: Settings) -> FirstLook:
    try:
        return look_into(form.path, settings, options.reading)
    except PerformiaError as error:
        raise ProblemError(named_as(error, {str(form.path): form.name})) from error


def _options(form: Form) -> AnalysisOptions:
    """Raises ProblemError of RequestInvalid, OptionInvalid."""
    for name in form.fields.keys() - {"options", "lyrics", "corrections", "callback_url"}:
        raise ProblemError(
            named.RequestInvalid(f"The form has a field {name[:60]!r}, which is not taken", "Send `file` or `upload`, and `options`")
        )
    try:
        options = AnalysisOptions.model_validate_json(form.fields.get("options") or "{}")
    except ValidationError as error:
        raise invalid(error.errors(), "options") from error
    if (lyrics := form.fields.get("lyrics")) is not None:
        try:
            options = AnalysisOptions.model_validate(options.model_dump() | {"lyrics": lyrics})
        except ValidationError as error:
            raise invalid(error.errors(), "lyrics") from error
    refuse_empty_ranges(options)
    return options


def _corrections(form: Form) -> Corrections | None:
    """Raises ProblemError of RequestInvalid."""
    if not (text := form.fields.get("corrections", "").strip()):
        return None
    try:
        return Corrections.from_json(text)
    except ValidationError as error:
        raise invalid(error.errors(), "corrections") from error


def _refuse_too_long(options: AnalysisOptions, corrections: Corrections | None) -> None:
    """Raises ProblemError of RequestInvalid."""
    asked = {"options": options.model_dump(mode="json"), "corrections": corrections and corrections.model_dump(mode="json")}
    if what := too_long(asked):
        todo = "Send the song with less of them, and put it right afterwards: `PATCH /v1/songs/{song_id}`"
        raise ProblemError(named.RequestInvalid(what, todo))


def _digest(options: AnalysisOptions, corrections: Corrections | None) -> str:
    """What stands for all that was asked for. Without corrections, for the options, as at the other doors."""
    asked = options_digest(options)
    if corrections is None or not corrections.operations:
        return asked
    return digest_of([asked, corrections.model_dump(mode="json")])[:16]


async def _refuse_full_queue(runs: Runs, key: Key, settings: Settings) -> None:
    if await runs.count(*WAITING, who=key.name) >= settings.api_jobs_queued:
        raise ProblemError(
            named.TooManyRequests(f"{settings.api_jobs_queued} jobs of the key may wait"), {"retry-after": str(_QUEUE_RETRY_SEC)}
        )


def _answer(snapshot: Snapshot, new: bool) -> Response:
    job = job_of(snapshot)
    headers = {"location": job.links.self, "cache-control": "no-store"}
    if job.state not in FINAL:
        headers["retry-after"] = str(_RETRY_AFTER_SEC)
    return JSONResponse(job.model_dump(mode="json"), HTTPStatus.ACCEPTED if new else HTTPStatus.OK, headers)


async def _stream(desk: Desk, job: str, after: int | None) -> AsyncIterator[str]:
    said = time.monotonic()
    yield f"retry: {_RECONNECT_MS}\n\n"
    try:
        async for event in desk.events(job, after):
            if event is not None:
                said = time.monotonic()
                yield as_sse(event)
            elif time.monotonic() - said > _KEEP_ALIVE_SEC:
                said = time.monotonic()
                yield ": still here\n\n"
    except named.JobUnknown:  # it was deleted
        return


def as_sse(event: JobEvent) -> str:
    """An event on the wire. Without a number, a client keeps the number of the one before."""
    number = "" if event.id is None else f"id: {event.id}\n"
    return f"{number}event: {event.type}\ndata: {event.model_dump_json()}\n\n"


def _event_number(text: str | None) -> int | None:
    """The number of an event; None where there is none, so that a client sees all."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 16 else None


async def until_gone(socket: WebSocket) -> None:
    """Read what a client sends, which is nothing, until it is gone."""
    try:
        while True:
            await socket.receive_text()
    except (WebSocketDisconnect, RuntimeError, KeyError):
        return


def _own(run: FlowRun, key: Key) -> FlowRun:
    """The run, which the key may change: it asked for it, or may do everything. Raises ProblemError of ScopeMissing."""
    if who_tag(key.name) in run.tags or key.may("admin"):
        return run
    raise ProblemError(named.ScopeMissing(f"The key {key.name!r} has not asked for the job, and lacks the scope 'admin'"))


async def _ended_run(runs: Runs, run: FlowRun) -> FlowRun:
    """The run of a job, cancelled where it is under way. Raises JobUnknown, JobUnderWay."""
    if run.state is not None and not run.state.is_final():
        if run.state.type is not StateType.CANCELLING:
            await runs.cancel(run)
        until = time.monotonic() + _END_SEC
        while run.state is None or not run.state.is_final():
            if time.monotonic() > until:
                raise named.JobUnderWay("The job is being cancelled, and has not ended yet")
            await asyncio.sleep(0.5)
            run = await runs.read(job_id(run))
    return run


def _is_there(run: FlowRun) -> bool:
    song = run.parameters.get("song")
    return isinstance(song, str) and Path(song).is_file()


def _utc(moment: datetime.datetime) -> datetime.datetime:
    """A time without a zone is one of UTC."""
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment
