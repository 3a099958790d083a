"""A song's exports over HTTP."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import soundfile
from api_songs import Songs
from odd_songs import song_of
from starlette.testclient import TestClient

from tasks.common.settings import get_settings
from tasks.export.formats import FORMATS, format_named
from tasks.export.options import ExportOptions
from tasks.export.song import Song, read_song


@pytest.fixture
def path(songs: Songs) -> str:
    return f"/v1/songs/{songs.put('a')['id']}/exports"


def here() -> Song:
    return read_song(get_settings().songs_dir / "a")


@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if not (entry.sound or entry.needs_sound)])
def test_an_export_is_what_the_command_writes(client: TestClient, path: str, name: str) -> None:
    answer = client.get(f"{path}/{name}")
    assert answer.status_code == 200
    assert answer.content == format_named(name).content(here(), ExportOptions())
    assert answer.headers["content-type"].partition(";")[0] == format_named(name).media_type
    assert answer.headers["content-disposition"].partition("*=")[0].rstrip('"').endswith(f'{format_named(name).suffix}"; filename')
    assert "sandbox" in answer.headers["content-security-policy"]
    assert client.get(f"{path}/{name}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_what_was_asked_for_is_in_it(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}/chordpro", params={"transpose": -2, "capo": 3})
    assert answer.content == format_named("chordpro").content(here(), ExportOptions(transpose=-2, capo=3))
    assert "{capo: 3}" in answer.text


@pytest.mark.parametrize(
    ("name", "query", "status", "code"),
    [
        ("docx", {}, 404, "EXPORT_FORMAT_UNKNOWN"),
        ("chordpro", {"transpose": 13}, 422, "REQUEST_INVALID"),
        ("chordpro", {"capo": "x"}, 422, "REQUEST_INVALID"),
        ("srt", {"lead_sec": "nan"}, 422, "REQUEST_INVALID"),
    ],
)
def test_what_cannot_be_asked_for_is_a_problem(
    client: TestClient, path: str, name: str, query: dict[str, str], status: int, code: str
) -> None:
    answer = client.get(f"{path}/{name}", params=query)
    assert (answer.status_code, answer.headers["content-type"], answer.json()["code"]) == (status, "application/problem+json", code)


def test_a_song_that_is_not_there_has_no_exports(client: TestClient, path: str) -> None:
    assert client.get("/v1/songs/0000000000000000/exports/lrc").json()["code"] == "SONG_UNKNOWN"


def test_sound_is_made_once_and_answers_ranges(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}/stems", params={"sound_format": "wav16"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        vocals = next(name for name in archive.namelist() if name.startswith("vocals"))
        assert soundfile.info(io.BytesIO(archive.read(vocals))).subtype == "PCM_16"
    part = client.get(f"{path}/stems", params={"sound_format": "wav16"}, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PK\x03\x04")
    assert part.headers["etag"] == answer.headers["etag"]


def test_without_sound_there_are_no_stems(client: TestClient, songs: Songs) -> None:
    answer = client.get(f"/v1/songs/{songs.put('b', stems=False)['id']}/exports/stems")
    assert (answer.status_code, answer.json()["code"]) == (404, "EXPORT_NEEDS_SOUND")


def test_a_name_in_any_script_is_safe_in_the_header(client: TestClient, songs: Songs) -> None:
    document = json.loads(song_of("markup").to_json())
    put = songs.put("c", title=document["title"], tags={"artist": document["source"]["tags"]["artist"]})
    header = client.get(f"/v1/songs/{put['id']}/exports/lrc").headers["content-disposition"]
    assert "/" not in header.replace("inline; ", "")
    assert "\\" not in header
    assert header.isascii()
