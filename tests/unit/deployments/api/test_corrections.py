"""Corrections over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from api_songs import Songs
from starlette.testclient import TestClient

from tasks.packager.validation import validate

TITLE = {"kind": "title", "title": "Road"}


@pytest.fixture
def path(songs: Songs) -> str:
    whole = {"duration_sec": 16.0}
    return f"/v1/songs/{songs.put('a', stems=False, **whole)['id']}"


def problem(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code


def patch(client: TestClient, path: str, *changes: dict[str, Any], tag: str | None = None, **also: Any) -> Any:
    tag = tag or client.get(path).headers["etag"]
    return client.patch(path, json={"changes": changes, **also}, headers={"if-match": tag})


def test_a_song_is_put_right_and_says_so(client: TestClient, path: str) -> None:
    before = client.get(path)
    answer = patch(client, path, TITLE, tag=before.headers["etag"])
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert [outcome["outcome"] for outcome in said["outcomes"]] == ["applied"]
    assert said["added"] == [said["operations"][0]["id"]]
    after = client.get(path)
    assert after.headers["etag"] == answer.headers["etag"] != before.headers["etag"]
    assert (after.json()["title"], after.json()["by_person"]) == ("Road", ["title"])
    assert validate(after.json()) == []
    listed = client.get(f"{path}/corrections")
    assert listed.json() == said | {"added": []}
    assert client.get(f"{path}/corrections", headers={"if-none-match": listed.headers["etag"]}).status_code == 304
    assert client.get("/v1/songs", params={"q": "road"}).json()["songs"][0]["title"] == "Road"


def test_a_word_is_put_right_and_taken_back(client: TestClient, path: str) -> None:
    was = client.get(path).json()
    words = was["lyrics"][0]["words"]
    at = {"time": words[0]["start"], "text": words[0]["text"], "after": [word["text"] for word in words[1:3]]}
    answer = patch(client, path, {"kind": "word_text", "word": at, "text": "Yellow"}, author="Ann")
    operation = answer.json()["operations"][0]
    assert (operation["author"], operation["replaces"]) == ("Ann", words[0]["text"])
    assert client.get(path).json()["lyrics"][0]["words"][0]["text"] == "Yellow"
    undone = patch(client, path, {"kind": "undo", "operation": operation["id"]}).json()
    assert (undone["outcomes"], len(undone["operations"])) == ([], 2)
    assert client.get(path).json()["lyrics"] == was["lyrics"]


def test_a_conflict_is_kept_and_shown(client: TestClient, path: str) -> None:
    nowhere = {"kind": "word_text", "word": {"time": 3.0, "text": "nowhere"}, "text": "somewhere"}
    assert [outcome["outcome"] for outcome in patch(client, path, nowhere).json()["outcomes"]] == ["conflict"]
    assert len(client.get(f"{path}/corrections").json()["operations"]) == 1


def test_who_has_not_seen_a_change_is_told(client: TestClient, path: str) -> None:
    tag = client.get(path).headers["etag"]
    assert patch(client, path, TITLE, tag=tag).status_code == 200
    problem(patch(client, path, TITLE, tag=tag), 412, "SONG_CHANGED")
    problem(patch(client, path, TITLE, tag='"other"'), 412, "SONG_CHANGED")
    problem(patch(client, path, TITLE, tag=f"W/{client.get(path).headers['etag']}"), 412, "SONG_CHANGED")
    problem(client.patch(path, json={"changes": [TITLE]}), 428, "IF_MATCH_MISSING")
    assert patch(client, path, TITLE, tag="*").status_code == 200
    assert len(client.get(f"{path}/corrections").json()["operations"]) == 2


def test_of_many_at_once_one_is_first(client: TestClient, path: str) -> None:
    tag = client.get(path).headers["etag"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: patch(client, path, {**TITLE, "title": f"T{number}"}, tag=tag), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 5]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"changes": []},
        {"changes": [{"kind": "dance"}]},
        {"changes": [{"kind": "title", "title": ""}]},
        {"changes": [{"kind": "key", "tonic": "H", "mode": "minor"}]},
        {"changes": [{"kind": "beats_shifted", "ms": 1e9}]},
        {"changes": [TITLE], "author": ""},
        [],
    ],
)
def test_what_is_no_correction_changes_nothing(client: TestClient, path: str, body: Any) -> None:
    problem(client.patch(path, json=body, headers={"if-match": "*"}), 422, "REQUEST_INVALID")
    assert client.get(f"{path}/corrections").json()["operations"] == []


def test_where_there_is_no_song(client: TestClient, songs: Songs) -> None:
    songs.put("a", stems=False)
    missing = f"/v1/songs/{'0' * 16}"
    problem(client.get(f"{missing}/corrections"), 404, "SONG_UNKNOWN")
    problem(client.patch(missing, json={"changes": [TITLE]}, headers={"if-match": "*"}), 404, "SONG_UNKNOWN")


def test_a_map_of_another_version_cannot_be_put_right(client: TestClient, songs: Songs) -> None:
    path = f"/v1/songs/{songs.put('a', stems=False, schema_version='9.9')['id']}"
    problem(client.patch(path, json={"changes": [TITLE]}, headers={"if-match": "*"}), 500, "SONG_MAP_INVALID")
