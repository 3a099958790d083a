"""The document of figures, and the comparison of two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.performance.bench import comparison, document
from tests.performance.bench.errors import BenchmarkFailed

HERE = {"cpu": "X", "cores": 2}


def parts(**figures: Any) -> document.Document:
    return {"parts": {name: {"date": "2026-01-01", "hardware": HERE, **part} for name, part in figures.items()}}


def test_parts_that_were_not_measured_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "results.json"
    document.write(file, parts(song={"cold_sec": 1.0}, race={"wall_sec": 9.0}))
    document.write(file, document.merged(document.read(file), {"song": {"cold_sec": 2.0}}))
    assert document.read(file)["parts"] == {"song": {"cold_sec": 2.0}, "race": parts(race={"wall_sec": 9.0})["parts"]["race"]}


def test_a_part_knows_its_day_and_machine() -> None:
    stamped = document.stamped({"cold_sec": 1.0})
    assert stamped["cold_sec"] == 1.0
    assert {"date", "hardware"} < set(stamped)
    assert stamped["hardware"]["cores"] >= 1


def test_no_file_is_a_document_without_parts(tmp_path: Path) -> None:
    assert document.read(None) == document.read(tmp_path / "absent.json") == {"parts": {}}


@pytest.mark.parametrize("content", ["[]", "{}", '{"parts": []}', '{"parts": {"song": 3}}', "no JSON"])
def test_what_to_compare_with_must_be_figures(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(BenchmarkFailed, match=r"other\.json"):
        document.read(tmp_path / "other.json")


def test_what_moved_by_more_than_a_tenth_is_told() -> None:
    before = parts(song={"cold_sec": 10.0, "cached_sec": 10.0, "peak_mib": 100})
    after = parts(song={"cold_sec": 20.0, "cached_sec": 10.9, "peak_mib": 80})
    assert comparison.moved(before, after) == [("song", "cold_sec", 10.0, 20.0, 2.0), ("song", "peak_mib", 100.0, 80.0, 0.8)]


def test_only_seconds_memory_and_ratios_count() -> None:
    names = ("songs", "songs_per_hour", "minutes", "repetitions", "timestamp", "shared")
    before, after = (parts(batch=dict.fromkeys(names, value)) for value in (1.0, 2.0))
    assert comparison.moved(before, after) == []
    ratios = ("times_real_time", "whole_times_kernels", "chords_same_share", "times_as_fast")
    before, after = (parts(batch=dict.fromkeys(ratios, value)) for value in (1.0, 2.0))
    assert [row.figure for row in comparison.moved(before, after)] == list(ratios)


def test_a_unit_holds_for_all_below_it() -> None:
    before, after = (parts(kernels={"cold_sec": {"asr": value}, "after_song_mib": [value, 1]}) for value in (1, 3))
    assert [row.figure for row in comparison.moved(before, after)] == ["cold_sec: asr", "after_song_mib: 1"]


def test_what_only_one_run_has_and_what_is_no_number_is_left_out() -> None:
    before = parts(song={"cold_sec": 1.0, "gone_sec": 1.0, "none_sec": None, "text_sec": "1", "flag_sec": True}, race={"wall_sec": 1.0})
    after = parts(song={"cold_sec": 1.0, "new_sec": 1.0, "none_sec": 2.0, "text_sec": 2.0, "flag_sec": False}, growth={"all_sec": 1.0})
    assert comparison.moved(before, after) == []


def test_what_took_no_time_before_has_no_ratio() -> None:
    ((*_, ratio),) = comparison.moved(parts(song={"cold_sec": 0}), parts(song={"cold_sec": 1.0}))
    assert ratio is None


def test_other_hardware_is_said_once() -> None:
    before, after = parts(song={"a_sec": 1.0}, startup={"a_sec": 1.0}), parts(song={"a_sec": 1.0}, startup={"a_sec": 1.0})
    assert comparison.other_hardware(before, after) == []
    assert "Nothing moved" in comparison.report(before, after)
    after = json.loads(json.dumps(after).replace('"cores": 2', '"cores": 8'))
    assert comparison.other_hardware(before, after) == ["cores 2, now 8 (song, startup)"]
    assert comparison.report(before, after).splitlines()[0].startswith("The hardware differs")


def test_nothing_is_said_where_nothing_can_be_compared() -> None:
    assert comparison.report(parts(race={"a_sec": 1.0}), parts(song={"a_sec": 1.0})) == ""


def test_the_comparison_is_a_table() -> None:
    said = comparison.report(parts(song={"cold_sec": 10.0}), parts(song={"cold_sec": 5.0}))
    assert "| part | figure | before | after | ratio |" in said
    assert "| song | cold_sec | 10 | 5 | 0.5 |" in said
