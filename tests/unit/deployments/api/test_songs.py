"""The library and the maps over HTTP."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from api_songs import Songs
from starlette.testclient import TestClient

from schemas.api.songs import FirstView
from schemas.song_folder import MAP_NAME
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import ArtifactStore


def problem(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code


def titles(client: TestClient, **asked: Any) -> list[str]:
    answer = client.get("/v1/songs", params=asked)
    assert answer.status_code == 200, answer.text
    return [song["title"] for song in answer.json()["songs"]]


def test_songs_are_listed_and_searched(client: TestClient, songs: Songs) -> None:
    first = songs.put("a", title="Ünsere Straße")
    songs.put("b", title="Moon", tags={"artist": "Beyoncé"}, tempo={**first["tempo"], "bpm_global": None})
    listed = client.get("/v1/songs", params={"sort": "title"}).json()
    assert [song["title"] for song in listed["songs"]] == ["Moon", "Ünsere Straße"]
    assert (listed["next"], listed["complete"]) == (None, True)
    found = client.get("/v1/songs", params={"q": "strasse"}).json()["songs"][0]
    assert found == {
        "id": first["id"],
        "title": "Ünsere Straße",
        "artist": "The [Band]",
        "album": "One",
        "duration_sec": 0.5,
        "bpm": 120.0,
        "key": "A minor",
        "status": "complete",
        "language": "en",
        "created": "2025-01-31T12:00:00Z",
        "links": {
            "self": f"/v1/songs/{first['id']}",
            "source": f"/v1/songs/{first['id']}/source",
            "timeline": f"/v1/songs/{first['id']}/timeline.svg",
            "peaks": f"/v1/songs/{first['id']}/peaks/mix",
            "stems": {name: f"/v1/songs/{first['id']}/stems/{name}" for name in ("vocals", "drums", "bass", "other", "instrumental")},
        },
    }
    assert titles(client, q="beyonce") == ["Moon"]
    assert titles(client, bpm_min=100) == ["Ünsere Straße"]
    assert titles(client, key="Db", q="hello wor", sort="-title") == ["Ünsere Straße", "Moon"]
    assert titles(client, q='"; DROP TABLE songs --') == []


def test_pages_follow_each_other(client: TestClient, songs: Songs) -> None:
    for number in range(3):
        songs.put(f"song {number}", title=f"Song {number}", stems=False)
    first = client.get("/v1/songs", params={"sort": "title", "limit": 2}).json()
    second = client.get("/v1/songs", params={"sort": "title", "limit": 2, "cursor": first["next"]}).json()
    assert [song["title"] for song in first["songs"] + second["songs"]] == ["Song 0", "Song 1", "Song 2"]
    assert second["next"] is None


@pytest.mark.parametrize(
    "asked",
    [
        {"sort": "rating"},
        {"key": "H"},
        {"cursor": "x"},
        {"limit": 0},
        {"limit": 1000},
        {"bpm_min": "nan"},
        {"bpm_max": "x"},
        {"q": "x" * 300},
    ],
)
def test_what_cannot_be_asked_is_a_problem(client: TestClient, asked: dict[str, Any]) -> None:
    answer = client.get("/v1/songs", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_song_is_its_map_and_has_a_tag(client: TestClient, songs: Songs) -> None:
    document = songs.put("a")
    path = f"/v1/songs/{document['id']}"
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, document)
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        unchanged = client.get(path, headers={"if-none-match": known})
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    songs.put("a", title="Another")
    changed = client.get(path, headers={"if-none-match": tag})
    assert (changed.status_code, changed.json()["title"]) == (200, "Another")
    assert changed.headers["etag"] != tag


def test_a_song_as_the_first_front_end_reads_it(client: TestClient, songs: Songs) -> None:
    document = songs.put("a")
    path = f"/v1/songs/{document['id']}"
    answer = client.get(path, params={"view": "first"})
    assert FirstView.model_validate_json(answer.content).id == document["id"]
    assert [chord["label"] for chord in answer.json()["chords"]] == ["Am7/C", "C#"]
    assert answer.headers["etag"] != client.get(path).headers["etag"]
    assert client.get(path, params={"view": "first"}, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    problem(client.get(path, params={"view": "second"}), 422, "REQUEST_INVALID")


def test_a_map_of_another_version_is_given_as_it_is_and_has_no_view(client: TestClient, songs: Songs) -> None:
    document = songs.put("a", schema_version="9.9")
    assert client.get(f"/v1/songs/{document['id']}").json()["schema_version"] == "9.9"
    problem(client.get(f"/v1/songs/{document['id']}", params={"view": "first"}), 500, "SONG_MAP_INVALID")


def test_a_song_goes_with_the_audio_that_nobody_else_names(client: TestClient, songs: Songs) -> None:
    gone, kept = songs.put("a"), songs.put("b")
    shared = kept["stems"][0]["sha256"]
    gone["stems"][0]["sha256"] = shared
    folder = get_settings().songs_dir / "a"
    (folder / MAP_NAME).write_text(json.dumps(gone), encoding="utf-8")
    store = Path(get_settings().artifacts_url)
    for sha in (shared, gone["stems"][1]["sha256"], gone["source"]["audio_sha256"]):
        path = store / ArtifactStore.key(type("Ref", (), {"sha256": sha})())  # type: ignore[arg-type]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sound")
        os.utime(path, (time.time() - 60, time.time() - 60))
    answer = client.delete(f"/v1/songs/{gone['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not folder.exists()
    assert [path.stem for path in store.rglob("*.wav")] == [shared]
    problem(client.get(f"/v1/songs/{gone['id']}"), 404, "SONG_UNKNOWN")
    again = client.delete(f"/v1/songs/{gone['id']}")
    problem(again, 404, "SONG_UNKNOWN")
    assert again.json()["todo"] == "`GET /v1/songs` lists the songs"  # no path of the disk, and so left whole
    assert client.get(f"/v1/songs/{kept['id']}").status_code == 200


def test_a_song_goes_from_every_folder(client: TestClient, songs: Songs) -> None:
    songs.put("a", id="f" * 16)
    songs.put("b", id="f" * 16)
    assert client.delete(f"/v1/songs/{'f' * 16}").status_code == 204
    assert list(get_settings().songs_dir.iterdir()) == []


def test_the_api_describes_its_songs(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    paths = {path: sorted(calls) for path, calls in document["paths"].items() if path.startswith("/v1/songs")}
    files = ["get", "head"]
    assert paths == {
        "/v1/songs": ["get"],
        "/v1/songs/{song_id}": ["delete", "get", "patch"],
        "/v1/songs/{song_id}/corrections": ["get"],
        "/v1/songs/{song_id}/source": files,
        "/v1/songs/{song_id}/stems/{name}": files,
        "/v1/songs/{song_id}/peaks/{name}": files,
        "/v1/songs/{song_id}/timeline.svg": files,
        "/v1/songs/{song_id}/exports/{format}": ["get"],
    }
    ids = [call["operationId"] for calls in document["paths"].values() for call in calls.values()]
    assert len(ids) == len(set(ids))
