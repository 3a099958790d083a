"""Uploads that go on where they broke off, as tus 1.0 has them, against the HTTP API as it is."""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from api_service import ApiService, serving
from prefect.client.orchestration import get_client
from service import tones

from deployments.api.keys import add_key
from deployments.api.resumable import sweep_resumable
from tasks.common.locks import is_held
from tasks.common.settings import get_settings

pytestmark = pytest.mark.usefixtures("prefect_api")

TUS: Final = {"tus-resumable": "1.0.0"}
PIECE: Final = {**TUS, "content-type": "application/offset+octet-stream"}


@pytest.fixture
def api() -> Iterator[ApiService]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    with serving() as service:
        yield service
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


def begin(api: ApiService, length: int, name: str = "Böse Nacht.wav", **headers: str) -> httpx.Response:
    metadata = f"filename {base64.b64encode(name.encode()).decode()},filetype YXVkaW8vd2F2"
    return api.client.post("/v1/uploads", headers={**TUS, "upload-length": str(length), "upload-metadata": metadata, **headers})


def piece(api: ApiService, path: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    return api.client.patch(path, content=content, headers={**PIECE, "upload-offset": str(offset), **headers})


def offset(api: ApiService, path: str, **headers: str) -> int:
    return int(api.client.head(path, headers={**TUS, **headers}).headers["upload-offset"])


def broken_off(api: ApiService, path: str, begin_at: int, content: bytes, length: int) -> socket.socket:
    """A connection on which some of a piece was sent, and more is announced."""
    connection = socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))
    head = {"host": "127.0.0.1", "content-length": str(length), "upload-offset": str(begin_at), **PIECE}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    connection.sendall(f"PATCH {path} HTTP/1.1\r\n{lines}\r\n".encode() + content)
    return connection


def job_of(api: ApiService, path: str, **headers: str) -> httpx.Response:
    return api.client.post("/v1/jobs", files={"upload": (None, path.rpartition("/")[2])}, headers=headers)


def parts(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "uploads" / "resumable").glob("*.part"))


def test_an_upload_that_breaks_off_goes_on_at_another_process_and_becomes_a_job(api: ApiService, tmp_path: Path, data_dir: Path) -> None:
    song = tones(tmp_path / "a.wav", 711.0, seconds=20.0).read_bytes()
    until = time.monotonic() + 60
    begun = begin(api, len(song))
    path = begun.headers["location"]
    assert (begun.status_code, begun.headers["upload-offset"], begun.headers["tus-resumable"]) == (201, "0", "1.0.0")
    assert begun.headers["upload-expires"].endswith("GMT")
    assert (piece(api, path, 0, song[:100_000]).status_code, offset(api, path)) == (204, 100_000)
    with broken_off(api, path, 100_000, song[100_000:1_400_000], len(song) - 100_000):
        while offset(api, path) < 1_100_000:
            assert time.monotonic() < until
            time.sleep(0.05)
    (part,) = parts(data_dir)
    while is_held(part.with_suffix(".lock")):
        assert time.monotonic() < until
        time.sleep(0.05)
    at = offset(api, path)  # what has arrived is kept
    with part.open("ab") as file:  # a process that was killed has written more than it has said
        file.write(song[at : at + 10_000])
    assert job_of(api, path).json()["code"] == "UPLOAD_CONFLICT"
    with serving() as other:
        head = other.client.head(path, headers=TUS)
        assert (head.headers["upload-offset"], head.headers["upload-length"]) == (str(at + 10_000), str(len(song)))
        assert head.headers["upload-metadata"].startswith("filename QsO2c2UgTmFjaHQud2F2")
        done = piece(other, path, at + 10_000, song[at + 10_000 :])
        assert (done.status_code, done.headers["upload-offset"]) == (204, str(len(song)))
    sent = job_of(api, path)
    assert (sent.status_code, sent.json()["name"], sent.json()["duration_sec"]) == (202, "Böse Nacht.wav", pytest.approx(20.0))
    with get_client(sync_client=True) as client:
        kept = Path(client.read_flow_run(sent.json()["id"]).parameters["song"])
    assert kept.read_bytes() == song
    assert parts(data_dir) == []
    again = job_of(api, path)  # the answer was lost on its way
    assert (again.status_code, again.json()["id"]) == (200, sent.json()["id"])
    assert api.send(tmp_path / "a.wav").json()["id"] == sent.json()["id"]
    assert offset(api, path) == len(song)
    assert api.client.delete(path, headers=TUS).status_code == 204
    assert kept.is_file()
    assert job_of(api, path).json()["code"] == "UPLOAD_UNKNOWN"


def test_what_tus_does_not_allow_is_refused_by_name(api: ApiService, tmp_path: Path, data_dir: Path) -> None:
    path = begin(api, 10).headers["location"]

    def refused(method: str, where: str, headers: dict[str, str], content: bytes = b"") -> tuple[int, str]:
        answer = api.client.request(method, where, headers=headers, content=content)
        assert answer.headers["tus-resumable"] == "1.0.0"
        return answer.status_code, answer.json()["code"]

    at_0 = {"upload-offset": "0"}
    assert refused("POST", "/v1/uploads", {"upload-length": "10"}) == (412, "TUS_VERSION_UNSUPPORTED")
    assert refused("PATCH", path, {**PIECE, **at_0, "tus-resumable": "0.2.2"}, b"x") == (412, "TUS_VERSION_UNSUPPORTED")
    assert refused("POST", "/v1/uploads", TUS) == (422, "REQUEST_INVALID")
    assert refused("POST", "/v1/uploads", {**TUS, "upload-length": "-1"}) == (422, "REQUEST_INVALID")
    assert refused("POST", "/v1/uploads", {**TUS, "upload-length": str(1 << 40)}) == (413, "UPLOAD_TOO_LARGE")
    assert refused("POST", "/v1/uploads", {**TUS, "upload-length": "1", "upload-metadata": "filename %%%"}) == (422, "REQUEST_INVALID")
    assert refused("PATCH", path, {**PIECE, "upload-offset": "3"}, b"x") == (409, "UPLOAD_CONFLICT")
    assert refused("PATCH", path, PIECE, b"x") == (422, "REQUEST_INVALID")
    assert refused("PATCH", path, {**TUS, **at_0, "content-type": "audio/wav"}, b"x") == (415, "UPLOAD_TYPE_UNSUPPORTED")
    assert refused("PATCH", path, {**PIECE, **at_0}, b"x" * 11) == (413, "UPLOAD_TOO_LARGE")
    assert refused("PATCH", f"/v1/uploads/{'0' * 32}", {**PIECE, **at_0}, b"x") == (404, "UPLOAD_UNKNOWN")
    for name in ("..", "%2e%2e", "..%2f..%2fkeys", "a%00", "CON", "0" * 32 + "%0a", "0" * 32 + ".json", "%ff"):
        for method in ("HEAD", "PATCH", "DELETE"):
            answer = api.client.request(method, f"/v1/uploads/{name}", headers={**PIECE, **at_0})
            assert answer.status_code in (404, 405, 422), (method, name)

    def in_pieces() -> Iterator[bytes]:
        yield b"12345"
        time.sleep(0.2)
        yield b"6789012"

    too_long = api.client.patch(path, content=in_pieces(), headers={**PIECE, **at_0})
    assert too_long.status_code == 413
    assert offset(api, path) == 5  # what was refused lies nowhere, what came before it once
    assert piece(api, path, 5, b"67890").status_code == 204
    assert [file.read_bytes() for file in parts(data_dir)] == [b"1234567890"]
    assert job_of(api, path).json()["code"] == "AUDIO_NOT_AUDIO"
    wave = tones(tmp_path / "a.wav", 722.0, seconds=1.0).read_bytes()
    both = {"upload": (None, path.rpartition("/")[2].encode()), "file": ("a.wav", wave)}
    assert api.client.post("/v1/jobs", files=both).json()["code"] == "REQUEST_INVALID"
    said = api.client.options("/v1/uploads").headers
    assert (said["tus-version"], said["tus-extension"], int(said["tus-max-size"])) == ("1.0.0", "creation,termination,expiration", 1 << 30)


def test_what_is_no_song_is_refused_once_its_beginning_is_there(api: ApiService, data_dir: Path) -> None:
    path = begin(api, 1 << 20, "text.mp3").headers["location"]
    assert piece(api, path, 0, b"this is no song\n" * 10_000).status_code == 204
    refused = piece(api, path, 160_000, b"this is no song\n" * 10_000)
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "AUDIO_NOT_AUDIO",
        "text.mp3 is not an audio file",
    )
    assert parts(data_dir) == []


def test_a_client_that_comes_again_takes_over_from_its_lost_connection(api: ApiService, data_dir: Path) -> None:
    path = begin(api, 30).headers["location"]
    with broken_off(api, path, 0, b"0123456789", 30):  # it is there and says nothing
        until = time.monotonic() + 30
        while not (answer := piece(api, path, (at := offset(api, path)), b"x" * (30 - at))).is_success:
            assert answer.status_code in (409, 423)
            assert time.monotonic() < until
    (part,) = parts(data_dir)
    assert part.read_bytes() in (b"x" * 30, b"0123456789" + b"x" * 20)


def test_uploads_are_of_their_key_and_not_without_end(data_dir: Path) -> None:
    mine, other = ({"x-api-key": add_key(get_settings(), name, ["write"])} for name in ("mine", "other"))
    with serving() as api:
        paths = [begin(api, 1, **mine).headers["location"] for _ in range(20)]
        full = begin(api, 1, **mine)
        assert (full.status_code, full.json()["code"], int(full.headers["retry-after"])) == (429, "TOO_MANY_REQUESTS", 60)
        assert begin(api, 1, **other).status_code == 201
        for method in ("HEAD", "DELETE"):
            assert api.client.request(method, paths[0], headers={**TUS, **other}).status_code == 404
        assert piece(api, paths[0], 0, b"x", **other).status_code == 404
        assert job_of(api, paths[0], **other).status_code == 404
        for file in parts(data_dir)[:5]:
            os.utime(file, (time.time() - 90_000, time.time() - 90_000))
        assert begin(api, 1, **mine).status_code == 201  # those of the day before are gone
        assert len(parts(data_dir)) in range(16, 19)
    for file in parts(data_dir):
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))
    sweep_resumable(get_settings())
    assert list((data_dir / "uploads" / "resumable").iterdir()) == []


def test_a_page_that_is_let_in_reads_where_its_upload_stands() -> None:
    page: dict[str, Any] = {"origin": "http://localhost:5001"}
    with serving(api_origins=("http://localhost:5001",)) as api:
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "tus-resumable,upload-offset,content-type"}
        assert api.client.options(f"/v1/uploads/{'0' * 32}", headers={**page, **asked}).status_code == 200
        begun = begin(api, 5, **page)
        shown = begun.headers["access-control-expose-headers"].lower()
        assert all(name in shown for name in ("location", "upload-offset", "upload-length", "tus-resumable"))
