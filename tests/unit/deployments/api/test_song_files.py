"""A song's files over HTTP: ranges, forms, peaks, and where they come from."""

from __future__ import annotations

import asyncio
import email
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import av
import numpy as np
import pytest
import soundfile
from api_songs import RATE, Songs
from starlette.testclient import TestClient

from schemas.api.songs import Peaks
from schemas.song_folder import MAP_NAME, TIMELINE_NAME, stem_path
from schemas.sound_format import SoundFormat
from tasks.common import audio_forms
from tasks.common.settings import get_settings


@pytest.fixture
def stem(songs: Songs) -> tuple[str, bytes]:
    """The path of a stem, and its bytes."""
    song = songs.put("a")["id"]
    return f"/v1/songs/{song}/stems/vocals", (get_settings().songs_dir / "a" / stem_path("vocals")).read_bytes()


def asked(client: TestClient, path: str, **headers: str) -> Any:
    return client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_whole_file(client: TestClient, stem: tuple[str, bytes]) -> None:
    path, content = stem
    for ending in ("", ".wav"):
        answer = client.get(path + ending)
        assert (answer.status_code, answer.content) == (200, content)
        assert (answer.headers["content-type"], answer.headers["accept-ranges"]) == ("audio/wav", "bytes")
        assert answer.headers["content-length"] == str(len(content))
        disposition = "inline; filename=\"The [Band] - Unsere Strae (vocals).wav\"; filename*=UTF-8''The%20%5BBand%5D%20-%20"
        assert answer.headers["content-disposition"].startswith(disposition)
        assert "sandbox" in answer.headers["content-security-policy"]


def test_head_says_what_get_would(client: TestClient, stem: tuple[str, bytes]) -> None:
    path, _ = stem
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    names = ("content-length", "content-type", "accept-ranges", "etag", "last-modified", "content-disposition")
    assert [head.headers[name] for name in names] == [got.headers[name] for name in names]
    # Ranges are defined for GET alone (RFC 9110, 14.2).
    assert client.head(path, headers={"range": "bytes=0-9"}).status_code == 200
    assert client.head(f"{path}.mp3").headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize(
    ("asked_for", "first", "end"), [("bytes=0-99", 0, 100), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=44-44", 44, 45)]
)
def test_a_part(client: TestClient, stem: tuple[str, bytes], asked_for: str, first: int, end: int | None) -> None:
    path, content = stem
    answer = asked(client, path, range=asked_for)
    begin, stop, _ = slice(first, end).indices(len(content))
    assert (answer.status_code, answer.content) == (206, content[first:end])
    assert answer.headers["content-range"] == f"bytes {begin}-{stop - 1}/{len(content)}"
    assert answer.headers["content-length"] == str(stop - begin)


def test_several_parts(client: TestClient, stem: tuple[str, bytes]) -> None:
    path, content = stem
    answer = asked(client, path, range="bytes=0-9, 500-519, -5")
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    assert "content-range" not in answer.headers
    message = email.message_from_bytes(b"content-type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.content)
    found = [(part["content-type"], part["content-range"], part.get_payload(decode=True)) for part in message.get_payload()]  # type: ignore[union-attr, call-arg]
    size = len(content)
    wanted = [(0, 10), (500, 520), (size - 5, size)]
    assert [(kind, span) for kind, span, _ in found] == [("audio/wav", f"bytes {begin}-{end - 1}/{size}") for begin, end in wanted]
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    pieces = [piece.partition(b"\r\n\r\n")[2] for piece in answer.content.split(b"--" + boundary)[1:-1]]
    assert [piece[:-2] for piece in pieces] == [content[begin:end] for begin, end in wanted]


def test_a_part_that_there_is_not(client: TestClient, stem: tuple[str, bytes]) -> None:
    path, content = stem
    answer = asked(client, path, range=f"bytes={len(content)}-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert (answer.headers["content-type"], answer.json()["code"]) == ("application/problem+json", "RANGE_UNSATISFIABLE")
    assert asked(client, path, range="lines=1-2").status_code == 200


def test_a_part_of_the_state_that_the_client_has(client: TestClient, stem: tuple[str, bytes]) -> None:
    path, content = stem
    whole = client.get(path)
    tag, date = whole.headers["etag"], whole.headers["last-modified"]
    assert asked(client, path, range="bytes=0-9", if_range=tag).status_code == 206
    assert asked(client, path, range="bytes=0-9", if_range=date).status_code == 206
    for other in (f"W/{tag}", '"other"', "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
        answer = asked(client, path, range="bytes=0-9", if_range=other)
        assert (answer.status_code, len(answer.content)) == (200, len(content))
    assert asked(client, path, if_none_match=tag, range="bytes=0-9").status_code == 304
    assert asked(client, path, if_modified_since=date).status_code == 304
    assert asked(client, path, if_modified_since=date, if_none_match='"other"').status_code == 200
    file = get_settings().songs_dir / "a" / stem_path("vocals")
    part = file.with_suffix(".part")
    part.write_bytes(content[::-1])
    os.replace(part, file)
    answer = asked(client, path, range="bytes=0-9", if_range=tag)
    assert (answer.status_code, answer.content) == (200, content[::-1])


@pytest.mark.parametrize(
    ("ending", "media_type", "loss"), [("flac", "audio/flac", 2**-22), ("mp3", "audio/mpeg", 0.02), ("opus", "audio/ogg", 0.05)]
)
def test_a_compressed_form_sounds_the_same_at_the_same_time(
    client: TestClient, songs: Songs, tmp_path: Path, ending: str, media_type: str, loss: float
) -> None:
    song = songs.put("a")["id"]
    answer = client.get(f"/v1/songs/{song}/stems/bass.{ending}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    (tmp_path / "heard").write_bytes(answer.content)
    with av.open(str(tmp_path / "heard")) as file:
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        heard = np.concatenate([part.to_ndarray() for frame in file.decode(audio=0) for part in resampler.resample(frame)], axis=1)
    bass = songs.stems["bass"]
    length = min(heard.shape[1], len(bass)) - 600  # what a resampler still holds
    assert length > RATE * 0.48
    error = heard[0, 100:length] - bass[100:length, 0]
    assert np.sqrt(np.mean(error**2)) < loss
    assert client.get(f"/v1/songs/{song}/stems/bass.{ending}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_a_form_is_made_once_whoever_asks(client: TestClient, songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    song = songs.put("a")["id"]
    made: list[str] = []
    encode = audio_forms.encode

    def counted(source: Path, target: Path, form: SoundFormat, gain_db: float) -> None:
        made.append(form)
        time.sleep(0.2)
        encode(source, target, form, gain_db)

    monkeypatch.setattr(audio_forms, "encode", counted)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(client.get(f"/v1/songs/{song}/stems/drums.flac").content)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [SoundFormat.flac24]
    assert len(set(answers)) == 1
    assert list(get_settings().locks_dir.glob("derived-*")) == []


def test_a_form_that_could_not_be_made_leaves_nothing(client: TestClient, songs: Songs, monkeypatch: pytest.MonkeyPatch) -> None:
    song = songs.put("a")["id"]

    def fail(source: Path, target: Path, form: SoundFormat, gain_db: float) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(audio_forms, "encode", fail)
        assert client.get(f"/v1/songs/{song}/stems/drums.flac").status_code >= 500
    assert list(Path(get_settings().artifacts_url).rglob("*.flac")) == []
    assert client.get(f"/v1/songs/{song}/stems/drums.flac").status_code == 200


def test_peaks_are_those_of_the_sound(client: TestClient, songs: Songs) -> None:
    song = songs.put("a")["id"]
    found = client.get(f"/v1/songs/{song}/peaks/vocals", params={"resolution": 20}).json()
    assert Peaks.model_validate(found).length == 10
    assert {name: found[name] for name in ("version", "channels", "sample_rate", "samples_per_pixel", "bits", "length")} == {
        "version": 2,
        "channels": 1,
        "sample_rate": RATE,
        "samples_per_pixel": 2205,
        "bits": 8,
        "length": 10,
    }
    pieces = songs.stems["vocals"][:, 0].reshape(10, 2205)
    assert found["data"][0::2] == np.floor(pieces.min(axis=1) * 128).astype(int).tolist()
    assert found["data"][1::2] == np.floor(pieces.max(axis=1) * 128).astype(int).tolist()
    assert client.get(f"/v1/songs/{song}/peaks/vocals", params={"resolution": 3}).status_code == 422


def test_peaks_beyond_full_scale_are_at_its_ends(tmp_path: Path) -> None:
    samples = np.array([[2.0, 0.0], [-3.0, np.nan], [0.0, 0.0]], np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 100, subtype="FLOAT")
    assert json.loads(audio_forms.peaks(tmp_path / "a.wav", 50))["data"] == [-128, 127, 0, 0]


def test_the_source_is_the_file_that_was_sent(client: TestClient, songs: Songs) -> None:
    document = songs.put("a")
    sha = document["source"]["file_sha256"]
    sent = get_settings().uploads / sha[:2] / sha / "whatever <b>.mp3"
    sent.parent.mkdir(parents=True)
    sent.write_bytes(b"the song")
    answer = client.get(f"/v1/songs/{document['id']}/source")
    assert (answer.content, answer.headers["content-type"]) == (b"the song", "audio/mpeg")
    assert 'filename="The [Band] - Unsere Strae.mp3"' in answer.headers["content-disposition"]
    sent.rename(sent.with_suffix(".html"))
    assert client.get(f"/v1/songs/{document['id']}/source").headers["content-type"] == "application/octet-stream"


def test_without_it_the_source_is_the_sum_of_the_stems(client: TestClient, songs: Songs, tmp_path: Path) -> None:
    song = songs.put("a")["id"]
    answer = client.get(f"/v1/songs/{song}/source")
    (tmp_path / "a.wav").write_bytes(answer.content)
    heard, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(heard, songs.stems["vocals"] + songs.stems["instrumental"], atol=1e-6)
    assert client.get(f"/v1/songs/{song}/peaks/mix").json()["length"] == 5


def test_a_stem_that_the_folder_lacks_comes_from_the_store(client: TestClient, songs: Songs) -> None:
    document = songs.put("a")
    sha = next(stem["sha256"] for stem in document["stems"] if stem["name"] == "bass")
    stored = Path(get_settings().artifacts_url) / "audio" / sha[:2] / f"{sha}.wav"
    stored.parent.mkdir(parents=True)
    shutil.move(get_settings().songs_dir / "a" / stem_path("bass"), stored)
    answer = client.get(f"/v1/songs/{document['id']}/stems/bass", headers={"range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (206, b"RIFF")
    assert "last-modified" not in answer.headers
    stored.unlink()
    gone = client.get(f"/v1/songs/{document['id']}/stems/bass")
    assert (gone.status_code, gone.json()["code"]) == (404, "SONG_FILE_MISSING")


def heard(answer: Any, folder: Path) -> np.ndarray[Any, Any]:
    (folder / "heard").write_bytes(answer.content)
    samples: np.ndarray[Any, Any] = soundfile.read(folder / "heard", dtype="float32")[0]
    return samples


def test_a_stem_of_another_format_is_sent_as_it_lies_in_the_folder(client: TestClient, songs: Songs, tmp_path: Path) -> None:
    song = songs.put("a", form=SoundFormat.flac16)["id"]
    file = get_settings().songs_dir / "a" / stem_path("vocals", SoundFormat.flac16)
    for name in ("vocals", "vocals.flac"):
        answer = client.get(f"/v1/songs/{song}/stems/{name}")
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "audio/flac", file.read_bytes())
        assert "(vocals).flac" in answer.headers["content-disposition"]
    assert client.get(f"/v1/songs/{song}/peaks/vocals").json()["length"] == 5
    wav = client.get(f"/v1/songs/{song}/stems/vocals.wav")
    assert wav.headers["content-type"] == "audio/wav"
    np.testing.assert_allclose(heard(wav, tmp_path), songs.stems["vocals"], atol=2 * 2**-15)


def test_what_the_folder_lacks_is_made_again_as_it_was_of_the_floats_in_the_store(client: TestClient, songs: Songs, tmp_path: Path) -> None:
    document = songs.put("a", form=SoundFormat.flac16, gain_db=-6.0)
    path = get_settings().songs_dir / "a" / stem_path("vocals", SoundFormat.flac16)
    content = path.read_bytes()
    path.unlink()
    assert client.get(f"/v1/songs/{document['id']}/stems/vocals").status_code == 404
    sha = document["stems"][0]["sha256"]
    stored = Path(get_settings().artifacts_url) / "audio" / sha[:2] / f"{sha}.wav"
    stored.parent.mkdir(parents=True)
    soundfile.write(stored, songs.stems["vocals"], RATE, subtype="FLOAT")
    assert client.get(f"/v1/songs/{document['id']}/stems/vocals").content == content
    floats = client.get(f"/v1/songs/{document['id']}/stems/vocals.wav")
    assert np.array_equal(heard(floats, tmp_path), songs.stems["vocals"])


def test_the_song_is_as_loud_as_it_was_where_it_is_the_sum_of_quieter_stems(client: TestClient, songs: Songs, tmp_path: Path) -> None:
    song = songs.put("a", form=SoundFormat.flac24, gain_db=-6.0)["id"]
    mix = heard(client.get(f"/v1/songs/{song}/source"), tmp_path)
    np.testing.assert_allclose(mix, songs.stems["vocals"] + songs.stems["instrumental"], atol=1e-6)


def test_floats_beyond_full_scale_are_not_cut_off_in_another_form(client: TestClient, songs: Songs, tmp_path: Path) -> None:
    song = songs.put("a", level=3.0)["id"]
    found = [heard(client.get(f"/v1/songs/{song}/stems/{name}.flac"), tmp_path) for name in ("drums", "instrumental")]
    gain = 20 * np.log10(np.abs(songs.stems["instrumental"]).max())
    for samples, name in zip(found, ("drums", "instrumental"), strict=True):
        np.testing.assert_allclose(samples * 10 ** (gain / 20), songs.stems[name], atol=4e-3)


def test_the_timeline_is_drawn_where_it_is_missing(client: TestClient, songs: Songs) -> None:
    song = songs.put("a", title="<script>alert(1)</script>")["id"]
    path = f"/v1/songs/{song}/timeline.svg"
    assert client.get(path).text == "<svg xmlns='http://www.w3.org/2000/svg'/>"
    (get_settings().songs_dir / "a" / TIMELINE_NAME).unlink()
    drawn = client.get(path)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert "&lt;script&gt;" in drawn.text
    assert "<script" not in drawn.text
    assert "sandbox" in drawn.headers["content-security-policy"]


# --- nothing leads out of the folder ------------------------------------------------------------------------------------------------------

#: Path segments, as they are sent: traversal in every writing, NUL, Unicode that looks like dots and slashes, names of Windows.
HOSTILE = (
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cwindows%5cwin.ini",
    "%252e%252e%252fetc",
    "..%c0%af..%c0%afetc",
    "%00",
    "0123456789abcdef%00",
    "0123456789abcdef%0a",
    "0123456789ABCDEF",
    "0123456789abcdef.json",
    "%2fetc%2fpasswd",
    "C:%5cboot.ini",
    "CON",
    "nul.wav",
    "song_map.json",
    "vocals.wav%00.mp3",
    "vocals.wav%0d%0aset-cookie:x",
    "vocals.exe",
    "vocals%2f..%2f..%2fsong_map.json",
    "%ef%bc%8e%ef%bc%8e",
    "%e2%80%ae",
    "%ff%fe",
    "~root",
    "$HOME",
    "*",
    "x" * 5000,
)


def test_no_name_leads_out_of_the_songs(client: TestClient, songs: Songs) -> None:
    song = songs.put("a", stems=False)["id"]
    for name in HOSTILE:
        for path in (name, f"{name}/source", f"{song}/stems/{name}", f"{song}/peaks/{name}", f"{song}/{name}", f"{name}/stems/vocals"):
            for method in ("GET", "DELETE") if "/" not in path else ("GET",):
                status, headers, body = as_sent(client, method, f"/v1/songs/{path}")
                assert status in (404, 405, 422), (method, path, status)
                assert headers["content-type"] == "application/problem+json"
                assert "set-cookie" not in headers
                assert str(get_settings().data_dir) not in body
    assert (get_settings().songs_dir / "a" / MAP_NAME).exists()


def as_sent(client: TestClient, method: str, path: str) -> tuple[int, dict[str, str], str]:
    """The answer to a path that no client has tidied up: status, headers, body."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),  # as a server does
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]).decode()


def test_no_map_leads_out_of_its_folder(songs: Songs, client: TestClient) -> None:
    songs.settings.songs_dir.mkdir(parents=True)
    outside = songs.settings.songs_dir / "outside.wav"
    outside.write_bytes(b"secret")
    for place, path in enumerate(["../outside.wav", "/etc/hostname", "stems/../../outside.wav", "stems/link.wav", "stems", "a\x00b", ""]):
        stems = [{"name": "vocals", "path": path, "sha256": "0" * 64, "sample_rate": RATE, "channels": 2}]
        song = _with_stems(songs, stems, f"a{place}")
        (songs.settings.songs_dir / f"a{place}" / "stems").mkdir()
        (songs.settings.songs_dir / f"a{place}" / "stems" / "link.wav").symlink_to(outside)
        answer = client.get(f"/v1/songs/{song}/stems/vocals")
        assert (answer.status_code, answer.json()["code"]) == (404, "SONG_FILE_MISSING"), path


def test_a_hash_that_is_none_leads_nowhere(songs: Songs, client: TestClient) -> None:
    stems = [{"name": "vocals", "path": None, "sha256": "../../../../etc/passwd", "sample_rate": RATE, "channels": 2}]
    song = _with_stems(songs, stems)
    assert client.get(f"/v1/songs/{song}/stems/vocals").status_code == 404
    assert client.get(f"/v1/songs/{song}/source").status_code == 404


def _with_stems(songs: Songs, stems: list[dict[str, Any]], folder: str = "a") -> str:
    """A song whose map says that its stems are these."""
    document = songs.put(folder, stems=False)
    document["stems"] = stems
    document["source"]["file_sha256"] = "../../x"
    (songs.settings.songs_dir / folder / MAP_NAME).write_text(json.dumps(document), encoding="utf-8")
    found: str = document["id"]
    return found
