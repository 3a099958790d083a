"""`python -m tests.performance.bench`, with light engines in the steps' places."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from schemas.options import AnalysisOptions
from schemas.steps import FINDING
from tests.performance.bench import driver_prefect, driver_race, kernels, processes, profile, samples
from tests.performance.bench.command import BenchOptions, Part, bench
from tests.performance.bench.errors import BenchmarkFailed
from tests.performance.bench.request import Request

pytestmark = pytest.mark.slow  # a tool of development; its parts have unit tests

SUPPORT = Path(__file__).parents[1] / "support"
STEPS = set(FINDING)


@pytest.fixture
def light_processes(monkeypatch: pytest.MonkeyPatch, prefect_database: Path) -> None:
    """The processes that the benchmark starts have light engines, and a Prefect database that is made already."""
    paths = [str(SUPPORT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setattr(processes, "prefect_home", lambda: prefect_database)


def measure(parts: Sequence[Part], output: Path, *songs: Path, **asked: Any) -> dict[str, Any]:
    """The parts of the document that the command wrote."""
    assert bench(BenchOptions(parts, output), Request(songs, **asked)) == 0
    written: dict[str, Any] = json.loads(output.read_text())["parts"]
    return written


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.performance.bench", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.usefixtures("light_processes")
def test_a_song_and_the_start_are_timed_and_compared(short_song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.json"
    earlier = {"songs": {short_song.stem: {"cold_sec": 1000.0, "cached_sec": 1000.0}}}
    results.write_text(json.dumps({"parts": {"song": earlier, "race": {"kept": True}}}))
    parts = measure([Part.song, Part.startup], results, short_song)
    row = parts["song"]["songs"][short_song.stem]
    assert set(row["steps"]) == STEPS
    assert min(row["cold_sec"], row["cached_sec"], row["peak_mib"]) > 0
    assert 0 < parts["startup"]["import_flows_sec"] < parts["startup"]["help_sec"]
    assert parts["race"] == {"kept": True}
    assert all({"date", "hardware"} < set(parts[name]) for name in ("song", "startup"))
    told = capsys.readouterr().out
    assert f"| song | songs: {short_song.stem}: cold_sec | 1000 |" in told
    assert "## startup" in told


@pytest.mark.usefixtures("light_processes")
def test_growth_is_a_row_a_length_with_exponents(short_song: Path, tmp_path: Path) -> None:
    growth = measure([Part.growth], tmp_path / "results.json", short_song, minutes=(0.05, 0.1))["growth"]
    assert set(growth["rows"]) == {"0.05 min", "0.1 min"}
    assert {name for row in growth["rows"].values() for name in row["steps_sec"]} == STEPS
    assert {"ingest", "all"} <= set(growth["exponents"])


def test_the_program_of_the_kernels_prints_seconds_and_keeps_what_was_found(
    short_song: Path, tmp_path: Path, light_engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stems, results = tmp_path / "stems.json", tmp_path / "results.json"
    words = ["kernels", str(short_song), "--twice", "--keep-stems", str(stems), "--keep-results", str(results)]
    monkeypatch.setattr(sys, "argv", words)
    assert kernels.main() == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["cold_sec"]) == set(figures["warm_sec"]) == STEPS
    assert figures["peak_mib"] > 0
    assert set(json.loads(results.read_text())) == STEPS
    monkeypatch.setattr(sys, "argv", ["kernels", str(short_song), "--steps", "bass", "--given-stems", str(stems)])
    assert kernels.main() == 0
    assert set(json.loads(capsys.readouterr().out)["cold_sec"]) == {"ingest", "bass"}


def test_a_step_by_itself_hears_what_the_others_found_before(
    short_song: Path, tmp_path: Path, light_engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    monkeypatch.setattr(sys, "argv", ["kernels", str(short_song), "--keep-results", str(results)])
    assert kernels.main() == 0
    heard: list[Any] = []
    engine = light_engines["tasks.structure.detect.detect_structure"]
    light_engines["tasks.structure.detect.detect_structure"] = lambda *inputs: heard.extend(inputs) or engine(*inputs)
    monkeypatch.setattr(sys, "argv", ["kernels", str(short_song), "--steps", "structure", "--given-results", str(results)])
    capsys.readouterr()
    assert kernels.main() == 0
    assert set(json.loads(capsys.readouterr().out)["cold_sec"]) == {"structure"}
    before = json.loads(results.read_text())
    found = [value.model_dump(mode="json") for value in heard[:5]]
    assert found == [before[step] for step in ("ingest", "beats_key", "separation", "chords", "asr")]


def test_what_listens_to_stems_in_a_race_hears_the_given_ones(
    short_song: Path, tmp_path: Path, light_engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, heard = tmp_path / "given.json", tmp_path / "heard.json"
    words = [str(short_song), "--steps", "separation", "--keep-stems"]
    monkeypatch.setattr(sys, "argv", ["kernels", *words, str(given)])
    assert kernels.main() == 0
    name = "tasks.separation.separate.separate_song"
    engine = light_engines[name]
    light_engines[name] = lambda *inputs: engine(*inputs).model_copy(update={"residual_db": -1.0})
    monkeypatch.setattr(driver_race, "performia", kernels.main)
    monkeypatch.setattr(driver_race.separate_stems, "body", driver_race.separate_stems.body)
    monkeypatch.setattr(sys, "argv", ["driver_race", str(given), *words, str(heard)])
    driver_race.main()
    assert json.loads(heard.read_text())["residual_db"] == json.loads(given.read_text())["residual_db"] != -1.0
    assert light_engines["calls"]["separate_song"] == 2


@pytest.fixture
def traceable() -> None:
    try:
        profile.refuse(Request(()))
    except BenchmarkFailed as refused:
        pytest.skip(str(refused))


@pytest.mark.usefixtures("traceable")
def test_a_step_is_sampled_where_it_works(demo_song: Path, tmp_path: Path) -> None:
    stacks = profile.sample("ingest", demo_song, (), tmp_path, dict(os.environ))
    assert {stack[0].split(" ")[0] for stack in stacks} <= {"ingest_song", "other"}
    assert "tasks/ingest/loudness.py" in " ".join(samples.shares(stacks, 20))


@pytest.mark.usefixtures("traceable")
def test_a_step_that_fails_under_the_profiler_is_named(short_song: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=r"(?s)The step bass failed under py-spy: .*NoneType"):
        profile.sample("bass", short_song, (), tmp_path, dict(os.environ))


@pytest.mark.usefixtures("traceable")
def test_every_step_is_profiled(demo_song: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = measure([Part.profile], tmp_path / "results.json", demo_song, profiles=tmp_path / "profiles")["profile"]["steps"]
    assert set(steps) == STEPS
    for row in steps.values():
        assert row["samples"] > 0
        assert 0 < sum(row["top"].values()) <= 1.01
        kept = samples.read((tmp_path / row["stacks"]).read_text())
        assert sum(kept.values()) == row["samples"]
    assert any(name.startswith("tasks/chords/") for name in steps["chords"]["top"])
    assert "tasks/separation/" in capsys.readouterr().out


@pytest.mark.usefixtures("prefect_api", "light_engines")
def test_what_prefect_adds_is_what_runs_take_beyond_plain_functions(
    short_song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.song_analysis import STEP_TASKS

    for task in STEP_TASKS.values():  # the recorder replaces the bodies for good
        monkeypatch.setattr(task, "body", task.body)
    recorder = driver_prefect.Recorder()
    recorder.install()
    timing = driver_prefect.Timing(short_song, tmp_path / "out", AnalysisOptions(), recorder)
    figures = driver_prefect.measure(timing, recorder, 1)
    assert figures["repetitions"] == 1
    assert figures["steps_at_once_sec"] > figures["plain_functions_sec"] > 0
    assert figures["prefect_share_sec"] == pytest.approx(figures["steps_at_once_sec"] - figures["plain_functions_sec"], abs=0.002)
    assert "PERFORMIA_RESULTS_STORE" not in os.environ
    with pytest.raises(BenchmarkFailed, match=r"Called 0 steps instead of 1: .*\(ingest\)"):
        timing.expect("ingest")


@pytest.mark.usefixtures("light_processes")
def test_the_command_measures_the_parts_that_are_named(short_song: Path, tmp_path: Path) -> None:
    results, other = tmp_path / "results.json", tmp_path / "other.wav"
    soundfile.write(other, np.random.default_rng(0).normal(0, 0.1, 4 * 44100), 44100)
    done = command(short_song, other, "--part", "kernels", "--part", "prefect", "--part", "batch", "-o", results)
    assert done.returncode == 0, done.stderr
    parts = json.loads(results.read_text())["parts"]
    assert set(parts) == {"prefect", "kernels", "batch"}
    assert set(parts["kernels"]["cold_sec"]) == STEPS
    assert parts["kernels"]["whole_sec"] > parts["kernels"]["sum_cold_sec"] > 0
    assert parts["prefect"]["steps_at_once_sec"] > parts["prefect"]["plain_functions_sec"]
    assert parts["prefect"]["cached_new_process_sec"] > parts["prefect"]["cached_running_server_sec"]
    ways = parts["batch"]["ways"]
    assert {way["songs"] for way in ways.values()} == {2}
    assert len(ways["one process, 1 at a time"]["after_song_mib"]) == 2


def test_a_song_that_cannot_be_analysed_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no music")
    done = command(tmp_path / "text.mp3", "-o", tmp_path / "results.json")
    assert done.returncode == 1
    assert "AUDIO_NOT_AUDIO" in done.stderr
    assert not (tmp_path / "results.json").exists()


@pytest.mark.usefixtures("light_processes")
def test_an_analysis_that_fails_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(88200), 44100)
    with pytest.raises(BenchmarkFailed, match="AUDIO_SILENT"):
        measure([Part.song], tmp_path / "results.json", tmp_path / "silent.wav")
    assert not (tmp_path / "results.json").exists()


def test_a_part_that_is_none_is_refused(short_song: Path) -> None:
    done = command(short_song, "--part", "everything")
    assert done.returncode == 2
    assert "OPTION_INVALID: No part is called everything" in done.stderr
    assert "Traceback" not in done.stderr
