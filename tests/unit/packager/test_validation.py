"""Validation takes anything, names every problem in plain words, and reads files with care."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.song_map import SongMap
from tasks.packager.problems import json_path
from tasks.packager.validation import MAX_BYTES, Problem, validate, validate_file

Document = dict[str, Any]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path in a document but its root."""
    inside: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    return [found for part, item in inside for found in ((*path, part), *places(item, (*path, part)))]


def parent_of(document: Document, path: tuple[str | int, ...]) -> Any:
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    return place


def problems(document: Any) -> dict[str, list[str]]:
    """The messages at each path."""
    found: dict[str, list[str]] = {}
    for problem in validate(document):
        found.setdefault(problem.json_path, []).append(problem.message)
    return found


# --- anything at all -------------------------------------------------------------------------------------------------------------------


@given(json_values)
def test_garbage_is_not_a_song_map_and_no_crash(garbage: Any) -> None:
    assert validate(garbage)


@pytest.mark.parametrize(
    "garbage", [None, 3, "text", [], [[]], {}, {"beats": {}}, b"bytes", {1: 2}, {"a": {3, 4}}, object(), {"x": (1, 2)}]
)
def test_what_is_no_document_is_said_to_be_none(garbage: Any) -> None:
    assert all(problem.json_path.startswith("$") and problem.message for problem in validate(garbage))


#: What the first maps of this version lack.
YOUNGER = {("source", field) for field in ("track", "tracks", "start_sec", "gain_db", "offset", "channels")} | {
    ("performance", "harmony"),
    ("provenance", "options", "stems_format"),
}


def test_endless_nesting_is_one_problem(document: Document) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    document["title"] = deep
    assert [problem.code for problem in validate(document)] == ["TOO_DEEP"]
    document["title"] = document
    assert [problem.code for problem in validate(document)] == ["TOO_DEEP"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(data=st.data())
def test_a_missing_field_is_named_by_its_path(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    # What was chosen for the run's engines is the one place with free names.
    named = [path for path in places(changed) if isinstance(path[-1], str) and "engines" not in path[:-1]]
    path = data.draw(st.sampled_from([path for path in named if path not in YOUNGER]))
    del parent_of(changed, path)[path[-1]]
    assert problems(changed)[json_path(path)] == ["is missing"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(data=st.data())
def test_an_unknown_field_is_named_by_its_path(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    objects = [path[:-1] for path in places(changed) if isinstance(path[-1], str) and "engines" not in path[:-1]]
    path = (*data.draw(st.sampled_from(objects)), "extra")
    parent_of(changed, path)["extra"] = data.draw(st.none() | st.text(max_size=3) | st.integers() | st.just({}))
    assert "is not a field of the schema" in problems(changed)[json_path(path)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(data=st.data())
def test_a_value_of_the_wrong_kind_is_named_by_its_path(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    path = data.draw(st.sampled_from(places(changed)))
    parent_of(changed, path)[path[-1]] = {"no": ["such thing"]}
    assert any(found.startswith(json_path(path)) for found in problems(changed))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(data=st.data())
def test_a_map_without_problems_can_be_read(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    path = data.draw(st.sampled_from(places(changed)))
    parent_of(changed, path)[path[-1]] = data.draw(json_values)
    if not validate(changed):
        SongMap.from_json(json.dumps(changed))


# --- plain words -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("tempo", "bpm_global"), "fast", "is text, not a number or null"),
        (("tempo", "bpm_global"), 0, "is 0, not above 0"),
        (("chords", 1, "conf"), 1.5, "is 1.5, above 1"),
        (("beats", 0), -0.5, "is -0.5, below 0"),
        (("status",), "done", "is 'done', not one of 'complete', 'partial'"),
        (("schema_version",), "2.0", "is '2.0', not '1.0'"),
        (("performance", "melody", 0, "midi"), 128, "is 128, above 127"),
        (("performance", "melody", 0, "midi"), 60.5, "is 60.5, not a whole number"),
        (("performance", "parts", "bass"), 3, "is 3, not an object or null"),
        (("performance", "parts", "bass", "polyphonic"), None, "is null, not true or false"),
        (("levels", "repeats", 0, "sections"), [0], "has 1 items, fewer than 2"),
        (("tempo", "curve", 0), [1.0, 2.0, 3.0], "has 3 items, more than 2"),
        (("duration_sec",), math.nan, "is nan, which is not a number in JSON"),
        (("duration_sec",), 10**400, "is a number too large to calculate with"),
        (("title",), "half \ud800", "holds half a character (a lone surrogate)"),
        (("id",), "0123456789abcdef\n", "is '0123456789abcdef\\n', which does not match ^[0-9a-f]{16}$"),
        (("key", 0, "tonic"), "H", "is 'H', which does not match ^[A-G][b#]?$"),
    ],
)
def test_messages_say_what_is_wrong(document: Document, path: tuple[str | int, ...], value: Any, message: str) -> None:
    parent_of(document, path)[path[-1]] = value
    assert message in problems(document)[json_path(path)]


def test_a_problem_inside_an_optional_object_is_named_there(document: Document) -> None:
    document["performance"]["parts"]["bass"]["polyphonic_share"] = 2
    del document["performance"]["parts"]["bass"]["highest_midi"]
    assert set(problems(document)) == {"$.performance.parts.bass.polyphonic_share", "$.performance.parts.bass.highest_midi"}


def test_names_that_are_no_plain_words_are_in_brackets() -> None:
    assert json_path(("a", 3, "b c", "é", "_x")) == "$.a[3]['b c']['é']._x"
    assert str(Problem("$.a", "is wrong", "CODE")) == "$.a: is wrong"


# --- files -----------------------------------------------------------------------------------------------------------------------------


def codes(path: Path) -> list[str]:
    return [problem.code for problem in validate_file(path)]


def test_a_good_file_has_no_problem(golden_path: Path) -> None:
    assert validate_file(golden_path) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "NOT_JSON"),
        (b"{", "NOT_JSON"),
        (b"\xff\xfe", "NOT_JSON"),
        (b"[" * 200_000, "TOO_DEEP"),
        (b"1" * 5000, "NOT_JSON"),
        (b"null", "SCHEMA_TYPE"),
        (b"NaN", "NOT_FINITE"),
        (b'{"id": 1, "id": 2}', "NOT_JSON"),
    ],
)
def test_files_that_are_no_song_maps(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "song_map.json"
    path.write_bytes(content)
    assert code in codes(path)


def test_nan_in_a_file_is_named_by_its_path(tmp_path: Path, golden_path: Path) -> None:
    path = tmp_path / "song_map.json"
    path.write_text(golden_path.read_text(encoding="utf-8").replace('"bpm_global": 120.0', '"bpm_global": NaN'), encoding="utf-8")
    assert [(problem.json_path, problem.code) for problem in validate_file(path)] == [("$.tempo.bpm_global", "NOT_FINITE")]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert codes(tmp_path / "missing.json") == ["UNREADABLE"]
    assert codes(tmp_path) == ["UNREADABLE"]
    assert codes(Path("no\0name")) == ["UNREADABLE"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "song_map.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert codes(path) == ["TOO_LARGE"]
