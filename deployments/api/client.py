"""A client of the HTTP API, for Python programs and for `performia analyze --server`: `Client`, and `AsyncClient` that does the work.

    with Client("http://nas:8000", key="performia_…") as client:
        job = client.analyze(Path("song.mp3"))
        for event in client.events(job.id):
            print(event.progress)
        song_map = client.download(client.wait(job.id), Path("out"))

What passes is waited for: a service that is busy or starts anew, limits of a key, a connection that drops. What does not is raised as the
error that the service named. Importing this module imports neither Prefect nor FastAPI.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from deployments.api.messages import CountedFile, error_of, error_of_problem, event_data, is_the_stem, not_understood, pause_of
from schemas.api.jobs import FINAL, Job, JobEvent, JobState
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions
from schemas.song_folder import MAP_NAME, TIMELINE_NAME, stem_path
from schemas.song_map import SongMap, Stem
from schemas.sound_format import SoundFormat
from tasks.common.errors import (
    ApiUnreachable,
    JobCancelled,
    JobUnderWay,
    OptionInvalid,
    SongFileDamaged,
    SongMapInvalid,
    SongUnknown,
    StorageError,
)
from tasks.common.progress import Progress, part_of, silent
from tasks.common.settings import get_settings
from tasks.common.shown_url import shown_failure, shown_url
from tasks.common.storage.atomic import atomic_write, whole
from tasks.ingest.checks import refuse_path
from tasks.ingest.file_names import as_text
from tasks.packager.folder import claim_folder, release_claim

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_CONNECT_SEC: Final = 10.0
_ANSWER_SEC: Final = 60.0
#: The service looks into a song once it has arrived, before it answers.
_UPLOAD_ANSWER_SEC: Final = 600.0
#: The service sends a sign of life every 15 s while nothing happens.
_SILENCE_SEC: Final = 45.0
_TRIES: Final = 6
_PAUSE_SEC: Final = 1.0
_LONGEST_PAUSE_SEC: Final = 60.0
#: A service that starts anew answers after half a minute on a busy machine.
_OUTAGE_SEC: Final = 180.0
_PIECE: Final = 1 << 16


@dataclass(frozen=True)
class Sent:
    """A song that the service has accepted. new: False where the same sound with the same options was a job already, perhaps another's."""

    job: Job
    new: bool


class AsyncClient:
    """`async with AsyncClient(url) as client`. Every call raises PerformiaError: what the service named, ApiUnreachable, ServiceRefused.

    key: default PERFORMIA_API_KEY. transport: in place of the network, for tests. pause: how it waits.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        key = key or get_settings().api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if not url.startswith(("http://", "https://")):
            raise OptionInvalid(f"{shown_url(url)} is not the URL of a service", "Give one such as http://127.0.0.1:8000")
        try:
            self._http = httpx.AsyncClient(
                base_url=url, headers=headers, timeout=httpx.Timeout(_ANSWER_SEC, connect=_CONNECT_SEC), transport=transport
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise OptionInvalid("The URL or the key of the service is malformed", "Give a URL such as http://127.0.0.1:8000") from error
        self._url = shown_url(url)
        self._pause = pause
        self._met = False

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def analyze(
        self,
        song: Path,
        options: AnalysisOptions | None = None,
        progress: Progress = silent,
        corrections: Corrections | None = None,
    ) -> Job:
        """Send a song, and return its job. progress: of the upload. Raises AudioError where the file cannot be read or analysed."""
        return (await self.send(song, options, progress, corrections)).job

    async def send(
        self,
        song: Path,
        options: AnalysisOptions | None = None,
        progress: Progress = silent,
        corrections: Corrections | None = None,
    ) -> Sent:
        """Like `analyze`, and says whether the job is new. The file is read piece by piece as it is sent."""
        refuse_path(song, get_settings())
        fields = {"options": (options or AnalysisOptions()).model_dump_json()}
        if corrections is not None:
            fields["corrections"] = corrections.model_dump_json()
        headers = {"idempotency-key": uuid.uuid4().hex}  # tried again after a connection broke, it is one job
        with song.open("rb") as file:
            counted: Any = CountedFile(file, song.stat().st_size, progress)

            def build() -> httpx.Request:
                file.seek(0)
                timeout = httpx.Timeout(_UPLOAD_ANSWER_SEC, connect=_CONNECT_SEC)
                files = {"file": (as_text(song.name), counted)}
                return self._http.build_request("POST", "/v1/jobs", data=fields, files=files, headers=headers, timeout=timeout)

            answer = await self._answer(build)
        return Sent(_read(Job, answer, "job"), answer.status_code == httpx.codes.ACCEPTED)

    async def job(self, job_id: str) -> Job:
        """A job as it is. Raises JobUnknown."""
        return _read(Job, await self._get(f"/v1/jobs/{job_id}"), "job")

    async def cancel(self, job_id: str) -> Job:
        """End a job. Raises JobUnknown, JobEnded."""
        return _read(Job, await self._answer(lambda: self._http.build_request("POST", f"/v1/jobs/{job_id}/cancel")), "job")

    async def events(self, job_id: str, after: int | None = None) -> AsyncGenerator[JobEvent, None]:
        """The events of a job to its end, as they happen; none is missed and none comes twice, also where the connection drops.

        after: the number of the last event seen before. Raises JobUnknown; ApiUnreachable where the service stays away.
        """
        heard = time.monotonic()
        while True:
            pause, problem = _PAUSE_SEC, "the stream ended"
            headers = {"accept": "text/event-stream", **({} if after is None else {"last-event-id": str(after)})}
            timeout = httpx.Timeout(_SILENCE_SEC, connect=_CONNECT_SEC)
            try:
                async with self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout) as answer:
                    if answer.status_code == httpx.codes.NO_CONTENT:
                        return
                    if answer.status_code != httpx.codes.OK:
                        await answer.aread()
                        wait = pause_of(answer, _PAUSE_SEC)
                        if wait is None:
                            raise error_of(answer)
                        pause, problem = wait, f"status {answer.status_code}"
                    else:
                        async for data in event_data(answer.aiter_lines()):
                            heard = time.monotonic()
                            event = _parse(JobEvent, data, "event")
                            if event.id is not None:
                                if after is not None and event.id <= after:
                                    continue
                                after = event.id
                            yield event
                            if event.type == "ended":
                                return
            except httpx.TransportError as error:
                problem = shown_failure(error)
            if time.monotonic() - heard > _OUTAGE_SEC:
                raise self._unreachable(problem)
            await self._pause(min(pause, _LONGEST_PAUSE_SEC))

    async def wait(self, job_id: str, timeout_sec: float | None = None) -> str:
        """The id of the song that a job has made. Waits for its end. Raises the error of a job that failed, JobCancelled.

        timeout_sec: how long to wait, after which JobUnderWay is raised and the job goes on; default: for as long as the service says that
        the job waits or runs.
        """
        try:
            return song_of(await asyncio.wait_for(self._ended(job_id), timeout_sec))
        except TimeoutError:
            raise JobUnderWay(f"The job has not ended after {timeout_sec:g} s", "Wait longer, or cancel it") from None

    async def _ended(self, job_id: str) -> Job:
        job = await self.job(job_id)
        if job.state not in FINAL:
            async for event in self.events(job_id):
                job = event.job or job
        return job

    async def song(self, song_id: str) -> SongMap:
        """A song's map. Raises SongUnknown, SongMapInvalid."""
        return _song_map((await self._get(f"/v1/songs/{song_id}")).content)

    async def download(self, song_id: str, output: Path, file_name: str | None = None, progress: Progress = silent) -> SongMap:
        """Write a song's folder below `output` as `performia analyze -o` does, and return its map, which knows the folder.

        file_name: the song's file, after which the folder is named; default: as the service got it. Each file appears whole, the map last.
        Raises SongUnknown, SongFileMissing, SongMapInvalid, SongFileDamaged, StorageError.
        """
        content = (await self._get(f"/v1/songs/{song_id}")).content
        song_map = _song_map(content)
        stems = [stem for stem in song_map.stems if stem.path is not None]
        if any(stem.path != stem_path(stem.name, SoundFormat(stem.format)) for stem in stems):
            raise SongMapInvalid("The service's Song Map has its stems elsewhere", todo="Use the service's version of Performia here")
        try:
            folder = claim_folder(output, file_name or song_map.source.file_name, song_map.id)
            for place, stem in enumerate(stems):
                await self._stem(song_id, stem, folder, part_of(progress, place / len(stems), (place + 1) / len(stems)))
            atomic_write(folder / TIMELINE_NAME, (await self._get(f"/v1/songs/{song_id}/{TIMELINE_NAME}")).content)
            atomic_write(folder / MAP_NAME, content)
            release_claim(folder, song_map.id)
        except OSError as error:
            raise StorageError(
                f"Could not write to {error.filename or output}: {error.strerror or error}", "Check the disk and the folder's permissions"
            ) from error
        progress(1.0)
        return song_map.written_to(folder)

    async def _stem(self, song_id: str, stem: Stem, folder: Path, progress: Progress) -> None:
        """A stem's file, unless it is there already. What arrives damaged is asked for once more."""
        target = folder / stem_path(stem.name, SoundFormat(stem.format))
        if target.is_file() and await asyncio.to_thread(is_the_stem, target, stem):
            progress(1.0, stem.name)
            return
        with whole(target) as temporary:
            for _ in range(2):
                await self._to_file(f"/v1/songs/{song_id}/stems/{stem.name}", temporary, part_of(progress, 0.0, 0.99), stem.name)
                if await asyncio.to_thread(is_the_stem, temporary, stem):
                    progress(1.0, stem.name)
                    return
            raise SongFileDamaged(f"The stem {stem.name} is not the one that the Song Map names")

    async def _to_file(self, path: str, target: Path, progress: Progress, message: str) -> None:
        """Write what is at an address into a file, piece by piece."""

        async def take(answer: httpx.Response) -> None:
            size, done = int(answer.headers.get("content-length", 0)), 0
            with target.open("wb") as file:
                async for piece in answer.aiter_bytes(_PIECE):
                    file.write(piece)
                    done += len(piece)
                    progress(done / max(done, size), message)

        await self._answer(lambda: self._http.build_request("GET", path), take)

    async def _get(self, path: str) -> httpx.Response:
        return await self._answer(lambda: self._http.build_request("GET", path))

    async def _answer(
        self, build: Callable[[], httpx.Request], take: Callable[[httpx.Response], Awaitable[None]] | None = None
    ) -> httpx.Response:
        """The good answer to a request, built anew and sent again while what hinders it may pass. take: reads the answer's body."""
        problem = ""
        for attempt in range(_TRIES):
            pause = _PAUSE_SEC * 2**attempt
            try:
                answer = await self._http.send(build(), stream=True)
                self._met = True
                try:
                    if answer.is_success and take is not None:
                        await take(answer)
                        return answer
                    await answer.aread()
                finally:
                    await answer.aclose()
                if answer.is_success:
                    return answer
                wait = pause_of(answer, pause)
                if wait is None or wait > _LONGEST_PAUSE_SEC or attempt + 1 == _TRIES:
                    raise error_of(answer)
                pause = wait
            except httpx.ConnectError as error:
                problem = shown_failure(error)
                if attempt >= 1 and not self._met:  # nobody was ever there, which is to be told soon
                    break
            except httpx.TransportError as error:
                problem = shown_failure(error)
            await self._pause(pause)
        raise self._unreachable(problem)

    def _unreachable(self, problem: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"No Performia service answers at {self._url} ({problem})",
            "Start it there (`performia serve` or `performia api`), or check the URL; what it has accepted goes on without this client",
        )


class Client:
    """`with Client(url) as client`: AsyncClient for programs that are not asynchronous. Its calls may be interrupted by Ctrl-C."""

    def __init__(self, url: str, key: str | None = None, transport: httpx.AsyncBaseTransport | None = None):
        self._client = AsyncClient(url, key, transport)
        self._closed = False
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="performia-client", daemon=True).start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go. A second time it does nothing."""
        if self._closed:
            return
        self._call(self._client.close())
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)

    def analyze(
        self,
        song: Path,
        options: AnalysisOptions | None = None,
        progress: Progress = silent,
        corrections: Corrections | None = None,
    ) -> Job:
        """See AsyncClient.analyze. progress is called from another thread."""
        return self._call(self._client.analyze(song, options, progress, corrections))

    def send(
        self,
        song: Path,
        options: AnalysisOptions | None = None,
        progress: Progress = silent,
        corrections: Corrections | None = None,
    ) -> Sent:
        """See AsyncClient.send."""
        return self._call(self._client.send(song, options, progress, corrections))

    def job(self, job_id: str) -> Job:
        """See AsyncClient.job."""
        return self._call(self._client.job(job_id))

    def cancel(self, job_id: str) -> Job:
        """See AsyncClient.cancel."""
        return self._call(self._client.cancel(job_id))

    def events(self, job_id: str, after: int | None = None) -> Generator[JobEvent, None, None]:
        """See AsyncClient.events."""
        events = self._client.events(job_id, after)

        async def following() -> JobEvent | None:
            return await anext(events, None)

        try:
            while (event := self._call(following())) is not None:
                yield event
        finally:
            self._call(_closed(events))

    def wait(self, job_id: str, timeout_sec: float | None = None) -> str:
        """See AsyncClient.wait."""
        return self._call(self._client.wait(job_id, timeout_sec))

    def song(self, song_id: str) -> SongMap:
        """See AsyncClient.song."""
        return self._call(self._client.song(song_id))

    def download(self, song_id: str, output: Path, file_name: str | None = None, progress: Progress = silent) -> SongMap:
        """See AsyncClient.download."""
        return self._call(self._client.download(song_id, output, file_name, progress))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns. Interrupted, the work ends too. Raises RuntimeError where the client is closed, and nobody would do it."""
        if self._closed:
            work.close()
            raise RuntimeError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


def song_of(job: Job) -> str:
    """The id of the song that an ended job has made. Raises the error of a job that failed, JobCancelled, SongUnknown."""
    if job.state is JobState.cancelled:
        raise JobCancelled(f"The job of {job.name} was cancelled")
    if job.problem is not None:
        raise error_of_problem(job.problem)
    if job.song_id is None:
        raise SongUnknown(f"The job of {job.name} is {job.state}, and has no song")
    return job.song_id


async def _closed(events: AsyncGenerator[JobEvent, None]) -> None:
    with suppress(RuntimeError):  # it was interrupted, and ends by itself
        await events.aclose()


def _read(message: type[M], answer: httpx.Response, what: str) -> M:
    return _parse(message, answer.content, what)


def _parse(message: type[M], text: str | bytes, what: str) -> M:
    try:
        return message.model_validate_json(text)
    except ValidationError as error:
        raise not_understood(what, error) from error


def _song_map(content: bytes) -> SongMap:
    try:
        return SongMap.from_json(content)
    except ValueError as error:
        raise not_understood("Song Map", error) from error
