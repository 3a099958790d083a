"""The client of the HTTP API, against answers that are made up: what it sends, waits for, refuses and writes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from deployments.api import client as module
from deployments.api.client import AsyncClient, Client, song_of
from deployments.api.messages import CountedFile
from schemas.api.jobs import Job, JobEvent
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions, Quality
from schemas.song_folder import MAP_NAME, TIMELINE_NAME, stem_path
from schemas.song_map import SongMap
from schemas.sound_format import SoundFormat
from tasks.common.errors import (
    ApiKeyMissing,
    ApiUnreachable,
    AudioNotFound,
    AudioSilent,
    IdempotencyKeyBusy,
    JobCancelled,
    JobUnderWay,
    OptionInvalid,
    ServiceRefused,
    SongFileDamaged,
    SongMapInvalid,
    TooManyRequests,
)
from tasks.common.settings import reset_settings

GOLDEN = Path(__file__).parents[2] / "packager" / "golden" / "song_map.json"
URL = "http://nas.example:8000"
JOB = "0192f5c1a7b87c3e9d2b1f0e6a5c4d3b"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
Handler = Callable[[httpx.Request], httpx.Response]


def job(**facts: Any) -> dict[str, Any]:
    links = {"self": f"/v1/jobs/{JOB}", "events": "", "cancel": "", "retry": ""}
    usual = {
        "id": JOB,
        "state": "queued",
        "name": "a.wav",
        "options": {},
        "progress": 0,
        "attempt": 1,
        "created_at": "2026-11-29T00:00:00Z",
    }
    return {**usual, "seconds": 0, "links": links, **facts}


def problem(code: str, status: int = 422, **more: Any) -> dict[str, Any]:
    texts = {"type": f"/v1/problems/{code}", "title": "It is so", "detail": "a.wav is it", "todo": "Do that", "instance": "/v1/jobs"}
    return {**texts, "status": status, "code": code, **more}


class Service:
    """Answers as it is told, one after the other, the last for ever; keeps the requests and the pauses."""

    def __init__(self, *answers: httpx.Response | Exception | Handler):
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, key: str | None = None) -> AsyncClient:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        return AsyncClient(URL, key, httpx.MockTransport(self), pause)


@pytest.fixture
def wave(tmp_path: Path) -> Path:
    path = tmp_path / "Böse.wav"
    path.write_bytes(os.urandom(200_000))
    return path


def test_a_song_is_sent_piece_by_piece_with_its_options_and_the_key(wave: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_API_KEY", "performia_secret")
    reset_settings()
    corrections = Corrections(song="40d84da9975e3569")
    pieces: list[int] = []

    class Reader(httpx.AsyncBaseTransport):
        """Reads what is sent as a network would; MockTransport takes it whole."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            assert isinstance(request.stream, httpx.AsyncByteStream)
            body = b""
            async for piece in request.stream:
                pieces.append(len(piece))
                body += piece
            assert wave.read_bytes() in body
            assert b'"quality":"fast"' in body
            assert corrections.model_dump_json().encode() in body
            assert "Böse.wav".encode() in body
            assert request.headers["authorization"] == "Bearer performia_secret"
            assert len(request.headers["idempotency-key"]) >= 32
            return httpx.Response(202, json=job())

    told: list[float] = []
    with Client(URL, transport=Reader()) as client:
        sent = client.send(wave, AnalysisOptions(quality=Quality.fast), lambda fraction, _="": told.append(fraction), corrections)
    assert (sent.job.id, sent.new) == (JOB, True)
    assert max(pieces) <= 1 << 16
    assert told == sorted(told)
    assert (told[-1], len(told) > 3) == (1.0, True)


def test_what_is_no_file_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    service = Service(httpx.Response(500))
    with pytest.raises(AudioNotFound):
        asyncio.run(service.client().analyze(tmp_path / "none.wav"))
    assert service.requests == []


def test_a_busy_service_is_waited_for_as_long_as_it_says_and_gets_the_whole_song_again(wave: Path) -> None:
    lengths: list[int] = []

    def accept(request: httpx.Request) -> httpx.Response:
        lengths.append(len(request.content))
        return httpx.Response(200, json=job())

    busy = httpx.Response(429, headers={"retry-after": "7"}, json=problem("TOO_MANY_REQUESTS", 429))
    arriving = httpx.Response(409, json=problem(IdempotencyKeyBusy.code, 409))
    service = Service(busy, arriving, httpx.ReadError("gone"), accept)
    sent = asyncio.run(service.client().send(wave))
    assert sent.new is False
    assert service.pauses == [7.0, 2.0, 4.0]
    assert len({request.headers["idempotency-key"] for request in service.requests}) == 1
    assert lengths[0] > 200_000


def test_waiting_has_an_end(wave: Path) -> None:
    for seconds, asked in (("1", 6), ("3600", 1)):
        service = Service(httpx.Response(429, headers={"retry-after": seconds}, json=problem("TOO_MANY_REQUESTS", 429)))
        with pytest.raises(TooManyRequests, match=r"a\.wav is it"):
            asyncio.run(service.client().analyze(wave))
        assert len(service.requests) == asked


def test_problems_are_the_errors_of_their_codes() -> None:
    def raised(answer: httpx.Response) -> Exception:
        with pytest.raises(Exception) as found:  # noqa: PT011 (which one is looked at below)
            asyncio.run(Service(answer).client().job(JOB))
        return found.value

    silent = raised(httpx.Response(422, json=problem("AUDIO_SILENT")))
    assert isinstance(silent, AudioSilent)
    assert str(silent) == "AUDIO_SILENT: a.wav is it. Do that."
    fields = problem("REQUEST_INVALID", errors=[{"where": "options.quality", "what": "no such"}])
    assert "options.quality: no such" in str(raised(httpx.Response(422, json=fields)))
    assert isinstance(raised(httpx.Response(401, json=problem("API_KEY_MISSING", 401))), ApiKeyMissing)
    newer = raised(httpx.Response(418, json=problem("TEA_ONLY", 418)))
    assert isinstance(newer, ServiceRefused)
    assert "TEA_ONLY: a.wav is it. Do that" in str(newer)
    assert "404" in str(raised(httpx.Response(404, text="<html>another server</html>")))
    assert "https://else" in str(raised(httpx.Response(308, headers={"location": "https://else"})))
    assert isinstance(raised(httpx.Response(200, json={"no": "job"})), ServiceRefused)


def test_nobody_there_is_told_soon_with_what_to_do() -> None:
    service = Service(httpx.ConnectError("refused"))
    with pytest.raises(ApiUnreachable, match=r"nas\.example.*performia serve"):
        asyncio.run(service.client().job(JOB))
    assert len(service.requests) == 2


@pytest.mark.parametrize("url", ["nas:8000", "ftp://nas", "http://[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(OptionInvalid):
        AsyncClient(url)


def event(number: int | None, kind: str = "step", **facts: Any) -> str:
    data = {"id": number, "type": kind, "job_id": JOB, "at": "2026-11-29T00:00:00Z", "state": "running", "progress": 0.1, **facts}
    return ("" if number is None else f"id: {number}\n") + f"event: {kind}\ndata: {json.dumps(data)}\n\n"


class Dropped(httpx.AsyncByteStream):
    """A stream that breaks after its text."""

    def __init__(self, text: str):
        self._text = text

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._text.encode()
        raise httpx.ReadError("reset")


async def collected(client: AsyncClient, after: int | None = None) -> list[JobEvent]:
    return [event async for event in client.events(JOB, after)]


def test_no_event_is_missed_and_none_comes_twice_where_the_stream_drops() -> None:
    first = "retry: 2000\n\n" + event(0, "queued") + ": alive\n\n" + event(None, "queue") + event(1) + event(2)[:40]
    service = Service(
        httpx.Response(200, stream=Dropped(first)),
        httpx.ConnectError("it starts anew"),
        httpx.Response(503, headers={"retry-after": "3"}, json=problem("API_UNREACHABLE", 503)),
        httpx.Response(200, text=event(1) + event(2)),  # it sends one again, and ends without the end
        httpx.Response(200, text=event(999999, "ended", state="completed", job=job(state="completed", song_id="5eb63bbbe01eeed0"))),
    )
    found = asyncio.run(collected(service.client()))
    assert [item.id for item in found] == [0, None, 1, 2, 999999]
    assert [request.headers.get("last-event-id") for request in service.requests] == [None, "1", "1", "1", "2"]
    assert service.pauses == [1.0, 1.0, 3.0, 1.0]
    assert found[-1].job is not None
    assert song_of(found[-1].job) == "5eb63bbbe01eeed0"


def test_events_end_for_who_has_seen_the_end_and_who_is_let_in_no_more() -> None:
    assert asyncio.run(collected(Service(httpx.Response(204)).client(), 999999)) == []
    with pytest.raises(ApiKeyMissing):
        asyncio.run(collected(Service(httpx.Response(401, json=problem("API_KEY_MISSING", 401))).client()))


def test_a_service_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OUTAGE_SEC", -1.0)
    with pytest.raises(ApiUnreachable):
        asyncio.run(collected(Service(httpx.ConnectError("refused")).client()))


def test_a_job_without_a_song_says_why() -> None:
    with pytest.raises(JobCancelled):
        song_of(Job.model_validate(job(state="cancelled")))
    with pytest.raises(AudioSilent, match=r"a\.wav is it"):
        song_of(Job.model_validate(job(state="failed", problem=problem("AUDIO_SILENT"))))


def test_waiting_for_a_job_may_have_an_end_while_the_service_says_that_it_lives() -> None:
    class Alive(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b": still here\n\n"
                await asyncio.sleep(0.02)

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Alive()) if request.url.path.endswith("/events") else httpx.Response(200, json=job())

    with Client(URL, transport=httpx.MockTransport(answer)) as client, pytest.raises(JobUnderWay, match=r"0\.2 s"):
        client.wait(JOB, timeout_sec=0.2)


def test_a_closed_client_says_so_and_may_be_closed_again() -> None:
    client = Client(URL, transport=httpx.MockTransport(Service(httpx.Response(200, json=job()))))
    with client:
        client.close()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            client.job(JOB)
        except RuntimeError as error:
            failed.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(10)
    assert "closed" in str(failed)


def test_the_sync_client_follows_a_job_and_may_stop_early() -> None:
    service = Service(httpx.Response(200, text=event(0, "queued") + event(1) + event(2)))
    with Client(URL, transport=httpx.MockTransport(service)) as client:
        events = client.events(JOB)
        assert [next(events).id, next(events).id] == [0, 1]
        events.close()
        assert list(events) == []


@pytest.fixture
def library() -> dict[str, bytes]:
    """{path: content} of a song at the service, whose stems have a tenth of a second."""
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    files = {}
    for number, stem in enumerate(document["stems"]):
        samples = np.full((4410, 2), 0.1 * (number + 1), dtype=np.float32)
        file = io.BytesIO()
        soundfile.write(file, samples, 44100, subtype="FLOAT", format="WAV")
        stem["sha256"] = hashlib.sha256(samples.tobytes()).hexdigest()
        stem["path"] = stem_path(stem["name"])
        files[f"/v1/songs/{document['id']}/stems/{stem['name']}"] = file.getvalue()
    files[f"/v1/songs/{document['id']}"] = json.dumps(document).encode()
    files[f"/v1/songs/{document['id']}/timeline.svg"] = SVG
    return files


def song_id(library: dict[str, bytes]) -> str:
    return min(library, key=len).rpartition("/")[2]


def serve(library: dict[str, bytes], asked: list[str]) -> Handler:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, content=library[request.url.path])

    return answer


def test_a_stem_of_another_format_is_taken_as_it_is_and_checked_by_its_file(library: dict[str, bytes], tmp_path: Path) -> None:
    song = min(library, key=len)
    document = json.loads(library[song])
    stem = document["stems"][0]
    file = io.BytesIO()
    soundfile.write(file, np.full((4410, 2), 0.1), 44100, subtype="PCM_16", format="FLAC")
    content = file.getvalue()
    path = stem_path(stem["name"], SoundFormat.flac16)
    stem |= {"path": path, "format": "flac16", "file_sha256": hashlib.sha256(content).hexdigest()}
    library |= {song: json.dumps(document).encode(), f"{song}/stems/{stem['name']}": content}
    asked: list[str] = []
    for _ in range(2):
        folder = asyncio.run(Service(serve(library, asked)).client().download(song_id(library), tmp_path)).folder
        assert folder is not None
        assert (folder / path).read_bytes() == content
    assert asked.count(f"{song}/stems/{stem['name']}") == 1  # it is there the second time
    (folder / path).write_bytes(content[:-1])
    library[f"{song}/stems/{stem['name']}"] = content[:-2]
    with pytest.raises(SongFileDamaged):
        asyncio.run(Service(serve(library, asked)).client().download(song_id(library), tmp_path))


def test_a_song_is_written_as_the_local_command_writes_it(library: dict[str, bytes], tmp_path: Path) -> None:
    asked: list[str] = []
    told: list[float] = []
    client = Service(serve(library, asked)).client()
    song_map = asyncio.run(client.download(song_id(library), tmp_path / "out", "My Song.wav", lambda part, _="": told.append(part)))
    folder = tmp_path / "out" / "My Song"
    assert song_map.folder == folder
    wanted = {stem_path(stem.name) for stem in song_map.stems} | {MAP_NAME, TIMELINE_NAME}
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == wanted
    assert len(wanted) == 7
    assert (folder / MAP_NAME).read_bytes() == library[f"/v1/songs/{song_id(library)}"]
    assert (folder / stem_path("bass")).read_bytes() == library[f"/v1/songs/{song_id(library)}/stems/bass"]
    assert (told, told[-1]) == (sorted(told), 1.0)
    assert list(tmp_path.rglob("*.tmp")) == []

    asked.clear()
    asyncio.run(client.download(song_id(library), tmp_path / "out", "My Song.wav"))
    assert [path for path in asked if "stems" in path] == []  # what is there is asked for no more


def test_stems_that_arrive_damaged_are_not_kept(library: dict[str, bytes], tmp_path: Path) -> None:
    path = f"/v1/songs/{song_id(library)}/stems/{SongMap.from_json(library[min(library, key=len)]).stems[0].name}"
    good, asked = library[path], list[str]()
    library[path] = good[:-8] + bytes(8)
    with pytest.raises(SongFileDamaged):
        asyncio.run(Service(serve(library, asked)).client().download(song_id(library), tmp_path))
    assert asked.count(path) == 2
    assert list(tmp_path.rglob("*.wav")) == []
    assert list(tmp_path.rglob(MAP_NAME)) == []


def test_a_download_that_breaks_off_is_begun_again(library: dict[str, bytes], tmp_path: Path) -> None:
    asked: list[str] = []
    usual = serve(library, asked)

    def answer(request: httpx.Request) -> httpx.Response:
        first = request.url.path.endswith("/stems/bass") and request.url.path not in asked
        whole = usual(request)
        return httpx.Response(200, stream=Dropped("RIFF")) if first else whole

    song_map = asyncio.run(Service(answer).client().download(song_id(library), tmp_path))
    assert song_map.folder is not None
    assert soundfile.info(song_map.folder / stem_path("bass")).frames == 4410


def test_a_map_that_names_files_elsewhere_is_refused(library: dict[str, bytes], tmp_path: Path) -> None:
    key = min(library, key=len)
    document = json.loads(library[key])
    document["stems"][0]["path"] = "../../evil.wav"
    library[key] = json.dumps(document).encode()
    with pytest.raises(SongMapInvalid):
        asyncio.run(Service(serve(library, [])).client().download(song_id(library), tmp_path / "out"))
    library[key] = b"{}"
    with pytest.raises(SongMapInvalid, match="another version"):
        asyncio.run(Service(serve(library, [])).client().song(song_id(library)))
    assert not (tmp_path / "out").exists()


def test_a_file_is_counted_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(100))
    told: list[float] = []
    with path.open("rb") as file:
        counted = CountedFile(file, 100, lambda fraction, _="": told.append(fraction))
        while counted.read(40):
            pass
    assert told == [0.4, 0.8, 1.0, 1.0]


def test_the_client_imports_neither_prefect_nor_fastapi() -> None:
    code = "import sys, deployments.api.client; print(sorted({'prefect', 'fastapi', 'torch', 'librosa'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4])
    assert run.stdout.strip() == "[]"
