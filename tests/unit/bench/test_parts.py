"""What the parts share: which are chosen, tables, and a process that is weighed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.performance.bench import batch
from tests.performance.bench.command import DEFAULT, Part, chosen
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.processes import child, run
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table


def test_parts_come_in_one_order() -> None:
    assert chosen([]) == list(DEFAULT)
    assert chosen([Part.race, Part.song]) == [Part.song, Part.race]
    assert chosen([Part.all]) == [part for part in Part if part is not Part.all]


def test_a_process_is_timed_and_weighed(tmp_path: Path) -> None:
    ran = run(
        "work", [sys.executable, "-c", "import sys; x = b'1' * 300_000_000; print('out'); print('err', file=sys.stderr)"], cwd=tmp_path
    )
    assert (ran.output, ran.log) == ("out\n", "err\n")
    assert ran.wall_sec > 0
    assert ran.cpu_sec > 0
    assert ran.peak_mib > 286
    assert set(ran.figures()) == {"wall_sec", "cpu_sec", "peak_mib"}


def test_a_program_without_figures_is_named() -> None:
    with pytest.raises(BenchmarkFailed, match="The program gave no figures"):
        child("this", "The program", [], {})


def test_the_options_of_the_analysis_go_on_to_the_processes() -> None:
    from schemas.options import AnalysisOptions
    from schemas.steps import Step

    request = Request((Path("a.wav"),), AnalysisOptions(engines={Step.asr: "faster-whisper:base"}))
    assert request.words == ["--quality", "balanced", "--engine", "asr=faster-whisper:base"]


def test_tables_round_and_escape() -> None:
    lines = table(("a|b", "c"), [("x|y", 123.456), (None, 0.012345)]).splitlines()
    assert lines[2:] == ["| x\\|y | 123 |", "|  | 0.0123 |"]


def test_a_batch_is_counted_in_songs_an_hour() -> None:
    figures = batch.figures_of(8, 240.0, 120.0, 500)
    assert figures["songs_per_hour"] == 240.0
    assert figures["times_real_time"] == 2.0
