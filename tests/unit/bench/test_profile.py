"""Samples of a profiler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.performance.bench import profile, samples
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.request import Request

START = (
    "_run_module_as_main (<frozen runpy>:173);main (tests/performance/bench/kernels.py:64);call_steps (tests/performance/bench/plain.py:23)"
)
CALL = f"{START};_stopwatch.<locals>.call (tests/performance/bench/kernels.py:98)"
STEP = "recognize (tasks/chords/recognize.py:20)"
THREAD = "Thread._bootstrap (threading.py:988);Thread.run (threading.py:971)"
RAW = f"""\
<module> (numpy/__init__.py:1) 9
{START};<module> (tasks/chords/recognize.py:1) 7
{CALL};{STEP};decode (tasks/chords/decode_chords.py:5);dot (numpy/a b.py:3) 60
{CALL};{STEP};decode (tasks/chords/decode_chords.py:5) 10
{CALL};{STEP};_find_and_load (<frozen importlib._bootstrap>:1165);<module> (tasks/chords/cqt.py:1) 10
{CALL};{STEP};Future.result (concurrent/futures/_base.py:428);Condition.wait (threading.py:295) 50
{THREAD};_WorkItem.run (concurrent/futures/thread.py:53);gather (tasks/chords/decode_chords.py:9);c2c (scipy/fft.py:1) 20
{THREAD};TMonitor.run (tqdm/_monitor.py:62);Event.wait (threading.py:611) 40
{THREAD};run (elsewhere/beat.py:1) 3
"""


def stacks() -> samples.Stacks:
    return samples.of_step(samples.read(RAW))


def test_only_the_step_counts_and_nothing_that_waits_for_a_thread() -> None:
    found = stacks()
    assert sum(found.values()) == 100
    assert {stack[0] for stack in found} == {STEP, "other threads of the step"}
    assert not any("frozen" in frame or "wait" in frame for stack in found for frame in stack)


def test_a_line_with_the_same_stack_adds_up() -> None:
    assert samples.read("a (x.py:1);b (x.py:2) 3\na (x.py:1);b (x.py:2) 4\n") == {("a (x.py:1)", "b (x.py:2)"): 7}
    assert samples.read("") == {}


def test_a_sample_belongs_to_the_innermost_of_our_functions() -> None:
    assert samples.shares(stacks(), 5) == {
        "tasks/chords/decode_chords.py:decode": 0.7,
        "tasks/chords/decode_chords.py:gather": 0.2,
        "tasks/chords/cqt.py:(import)": 0.1,
    }
    assert list(samples.shares(stacks(), 1)) == ["tasks/chords/decode_chords.py:decode"]
    assert samples.shares({("other (scipy/fft.py:1)",): 2}, 5) == {"elsewhere": 1.0}
    assert samples.shares({}, 5) == {}


def test_collapsed_stacks_are_read_as_they_were_written() -> None:
    text = samples.collapsed(stacks())
    assert samples.read(text) == stacks()
    assert text.splitlines()[0].endswith("dot (numpy/a b.py:3) 60")


def test_the_table_names_each_step_once() -> None:
    steps = {"chords": {"samples": 10, "stacks": None, "top": {"tasks/a.py:f": 0.75, "tasks/a.py:g": 0.25}}}
    lines = profile.report({"steps": {**steps, "bass": {"samples": 0, "stacks": None, "top": {}}}}).splitlines()
    assert lines[2:] == ["| chords | 10 | tasks/a.py:f | 75% |", "|  |  | tasks/a.py:g | 25% |"]


def test_a_missing_profiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkFailed, match=re.escape("pip install 'performia[dev]'")):
        profile.refuse(Request(()))


@pytest.mark.parametrize("program", ["echo Permission Denied >&2; exit 1", "exit 0", ': > "$9"'])
def test_a_profiler_that_may_not_trace_is_told_how_it_may(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "py-spy").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "py-spy").chmod(0o755)
    monkeypatch.setattr(profile, "py_spy", lambda: str(tmp_path / "py-spy"))
    with pytest.raises(BenchmarkFailed, match="SYS_PTRACE"):
        profile.refuse(Request(()))
