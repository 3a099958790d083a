"""What somebody of ill will sends to the HTTP API, as it is: names, files, slowness, keys of others."""

from __future__ import annotations

import io
import re
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from api_service import ApiService, serving
from api_songs import Songs
from prefect.client.orchestration import get_client
from service import tones

from deployments.api.keys import add_key
from tasks.common.settings import get_settings

pytestmark = pytest.mark.usefixtures("prefect_api")

#: Names of files: traversal in every writing, NUL, line ends, Unicode that looks like dots and slashes, right to left, names of Windows.
NAMES: Final = (
    "../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/cron.d/x.wav",
    "C:\\boot.ini",
    "%2e%2e%2fx.wav",
    "\uff0e\uff0e\uff0fx.wav",
    "a\x00.wav",
    "x\r\nSet-Cookie: a=b\r\n\r\n<script>.wav",
    "\u202evaw.exe",
    "CON",
    "nul.wav",
    "a.wav:stream",
    "~root",
    "$(reboot).wav",
    "{{ 7 * 7 }}.wav",
    "..",
    " .wav. ",
    "x" * 5000,
)
SECRET: Final = "the secret of another file"


@pytest.fixture(autouse=True)
def _deployment() -> Iterator[None]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    yield
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


@pytest.fixture
def api() -> Iterator[ApiService]:
    with serving() as service:
        yield service


def form(name: bytes, content: bytes) -> dict[str, Any]:
    """A request whose file has exactly this name."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; ' + name + b"\r\n\r\n"
    return {"content": head + content + b"\r\n--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}


def test_no_name_of_a_file_leads_out_of_the_uploads_or_into_a_header(api: ApiService, tmp_path: Path, data_dir: Path) -> None:
    for number, name in enumerate(NAMES):
        wave = tones(tmp_path / "a.wav", 500.0 + 7.0 * number, seconds=1.0).read_bytes()
        sent = name.replace("\r\n", "%0d%0a").encode()  # an end of line would end the header
        written = b"filename*=UTF-8''" + sent if b"%0d" in sent else b'filename="' + sent.replace(b"\\", b"\\\\") + b'"'
        if number % 2:
            written = b"filename*=UTF-8''" + "".join(f"%{byte:02x}" for byte in name.encode()).encode()
        answer = api.client.post("/v1/jobs", **form(written, wave))
        assert answer.status_code == 202, (name, answer.text)
        shown = answer.json()["name"]
        assert "/" not in shown, name
        assert "\\" not in shown, name
        assert shown.isprintable(), name
        assert "set-cookie" not in answer.headers
        with get_client(sync_client=True) as client:
            kept = Path(client.read_flow_run(answer.json()["id"]).parameters["song"])
        assert kept.resolve().is_relative_to((data_dir / "uploads").resolve()), name
        assert kept.is_file()
    assert not list(tmp_path.glob("**/passwd*.wav"))


def test_archives_and_markup_are_no_song_and_read_no_other_file(api: ApiService, tmp_path: Path, data_dir: Path) -> None:
    wave = tones(tmp_path / "song.wav", 640.0, seconds=1.0)
    (tmp_path / "secret.txt").write_text(SECRET)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.write(wave, "song.wav")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("song.wav", bytes(20_000_000))
    entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret.txt">]>'
    laughs = "<!DOCTYPE x [<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)) + "]><x>&a9;</x>"
    mpd = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="0">'
    files = {
        "archive.wav": archive.getvalue(),
        "bomb.mp3": bomb.getvalue(),
        "entity.wav": f'<?xml version="1.0"?>{entity}<score-partwise>&e;</score-partwise>'.encode(),
        "laughs.flac": f'<?xml version="1.0"?>{laughs}'.encode(),
        "manifest.mp4": f'<?xml version="1.0"?>{mpd}<BaseURL>{wave}</BaseURL></Representation></AdaptationSet></Period></MPD>'.encode(),
        "list.mp3": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{wave}\n#EXT-X-ENDLIST\n".encode(),
        "concat.wav": f"ffconcat version 1.0\nfile {wave}\n".encode(),
        "drawing.ogg": f'<svg xmlns="http://www.w3.org/2000/svg">{entity}<text>&e;</text></svg>'.encode(),
        "stream.wav": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    }
    for name, content in files.items():
        answer = api.client.post("/v1/jobs", files={"file": (name, content)})
        assert (answer.status_code, answer.json()["code"]) == (415, "AUDIO_NOT_AUDIO"), (name, answer.text)
        assert SECRET not in answer.text
        assert str(tmp_path) not in answer.text
    assert [path for path in (data_dir / "uploads").rglob("*") if path.is_file()] == []


def test_what_hides_in_a_song_changes_nothing(api: ApiService, tmp_path: Path) -> None:
    song = tones(tmp_path / "song.wav", 650.0, seconds=1.0).read_bytes()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.sh", "reboot")
    markup = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><BWFXML>&e;</BWFXML>'
    chunk = b"iXML" + len(markup).to_bytes(4, "little") + markup + b"\0" * (len(markup) % 2)
    riff = song + chunk
    riff = b"RIFF" + (len(riff) - 8).to_bytes(4, "little") + riff[8:] + archive.getvalue()
    job = api.client.post("/v1/jobs", files={"file": ("song.wav", song)})
    assert job.status_code == 202
    same = api.client.post("/v1/jobs", files={"file": ("hidden.wav", riff)})
    assert (same.status_code, same.json()["id"]) == (200, job.json()["id"])
    assert "passwd" not in same.text


def test_a_tag_breaks_out_of_no_header(api: ApiService) -> None:
    evil = 'x\r\nSet-Cookie: a=b\r\n\r\n<script>alert(1)</script>"; filename="y.exe\x00\u202e'
    song = Songs(get_settings()).put("evil", tags={"title": evil, "artist": evil, "album": evil})["id"]
    for path in ("", "?view=first", "/source", "/stems/vocals", "/stems/vocals.mp3", "/peaks/vocals", "/timeline.svg"):
        answer = api.client.get(f"/v1/songs/{song}{path}")
        assert answer.status_code == 200, (path, answer.text)
        assert "set-cookie" not in answer.headers, path
        assert all(value.isascii() and value.isprintable() for value in answer.headers.values()), path
        called = answer.headers.get("content-disposition", 'inline; filename="x"')
        assert re.fullmatch(r"""inline; filename="[^"\\]+"(; filename\*=UTF-8''[\w%.~-]+)?""", called), path
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in api.client.get(f"/v1/songs/{song}/timeline.svg").text


def test_who_sends_a_byte_now_and_then_holds_up_nobody_else(tmp_path: Path, data_dir: Path) -> None:
    slow, quick = (add_key(get_settings(), name, ["write"]) for name in ("slow", "quick"))
    wave = tones(tmp_path / "a.wav", 660.0, seconds=1.0)
    with serving(api_uploads_at_once=2) as api, ExitStack() as opened:
        port = int(api.url.rpartition(":")[2])
        head = (
            "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 900000\r\n"
            f'X-API-Key: {slow}\r\n\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        )
        connections = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(2)]
        silent = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(50)]
        for connection in silent:
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost:")
        for connection in connections:
            connection.sendall(head.encode())
        until = time.monotonic() + 60
        while len(list((data_dir / "uploads" / "incoming").glob("*"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        for number in range(3):
            for connection in connections:
                connection.sendall(b"R")
            assert api.send(wave, name=f"{number}.wav", **{"x-api-key": quick}).status_code in (200, 202)
        third = api.send(wave, **{"x-api-key": slow})
        assert (third.status_code, int(third.headers["retry-after"]) > 0) == (429, True)
        opened.close()
        while (answer := api.send(wave, **{"x-api-key": slow})).status_code == 429:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert answer.status_code == 200
    assert list((data_dir / "uploads" / "incoming").glob("*")) == []


def test_a_job_is_changed_by_who_asked_for_it_and_by_who_may_do_everything(tmp_path: Path) -> None:
    owner, other, admin = (
        {"x-api-key": add_key(get_settings(), name, [scope])} for name, scope in (("owner", "write"), ("other", "write"), ("boss", "admin"))
    )
    wave = tones(tmp_path / "a.wav", 670.0, seconds=1.0)
    with serving() as api:
        job = api.send(wave, **owner).json()["id"]
        assert api.send(wave, **other).json()["id"] == job
        for method, path in (("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
            refused = api.client.request(method, f"/v1/jobs/{job}{path}", headers=other)
            assert (refused.status_code, refused.json()["code"]) == (403, "SCOPE_MISSING")
        assert api.client.get(f"/v1/jobs/{job}", headers=other).json()["state"] == "queued"
        assert api.client.post(f"/v1/jobs/{job}/cancel", headers=owner).json()["state"] == "cancelled"
        assert api.send(wave, **other).status_code == 202  # started again: it is the other's too
        assert api.client.post(f"/v1/jobs/{job}/cancel", headers=other).json()["state"] == "cancelled"
        assert api.client.post(f"/v1/jobs/{job}/retry", headers=admin).status_code == 202
        assert api.client.delete(f"/v1/jobs/{job}", headers=admin).status_code == 204
