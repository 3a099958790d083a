"""The command as a person runs it: its own process, its own Prefect API, real models on real audio."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(data_dir: Path, prefect_home: Path) -> dict[str, str]:
    return {**os.environ, "PERFORMIA_DATA_DIR": str(data_dir), "PREFECT_HOME": str(prefect_home), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def excerpt(tmp_path: Path, demo_song: Path) -> Path:
    """Half of the demo song's second verse."""
    return cut(demo_song, tmp_path / "excerpt.flac", 43, 8)


def cut(song: Path, excerpt: Path, start_sec: int, seconds: int) -> Path:
    samples, rate = soundfile.read(song, start=start_sec * 44100, frames=seconds * 44100)
    soundfile.write(excerpt, samples, rate)
    return excerpt


def performia(*arguments: str | Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deployments.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    out, err = process.communicate(timeout=500)
    assert "Traceback" not in err
    assert "Warning" not in err
    return process.returncode, json.loads(out) if out.strip() else [], err


def steps_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    document = json.loads(Path(result["song_map"]).read_text(encoding="utf-8"))
    steps: dict[str, dict[str, Any]] = document["steps"]
    return steps


def processes_with(text: str) -> Iterator[int]:
    """Ids of the processes that have a text in their environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "environ").read_bytes() and "Z" not in (folder / "stat").read_text().split()[2]:
                yield int(folder.name)
        except OSError:
            continue


def test_bad_songs_are_refused_plainly_and_nothing_is_left(tmp_path: Path, environment: dict[str, str], data_dir: Path) -> None:
    (tmp_path / "text.mp3").write_text("no music")
    soundfile.write(tmp_path / "silent.wav", np.zeros(88200), 44100)
    process = performia(
        "analyze", tmp_path / "text.mp3", tmp_path / "silent.wav", "-o", tmp_path / "out", "--json", environment=environment
    )
    code, results, err = outcome(process)
    assert code == 1
    assert [result["code"] for result in results] == ["AUDIO_NOT_AUDIO", "AUDIO_SILENT"]
    assert "AUDIO_SILENT" in err
    assert not (tmp_path / "out").exists()
    assert not [path for path in data_dir.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["analyze", "x.wav", "--engine", "chords=psychic"], 2, "ENGINE_UNKNOWN"),
        (["analyze", "x.wav", "--engine", "dancing=yes"], 2, "OPTION_INVALID"),
        (["analyze", "x.wav", "--language", "Klingon"], 2, "OPTION_INVALID"),
        (["analyze", "x.wav"], 1, "AUDIO_NOT_FOUND"),
        (["models", "where", "gpt"], 1, "MODEL_UNKNOWN"),
    ],
)
def test_wrong_words_are_answered_with_what_to_do(arguments: list[str], code: int, text: str, environment: dict[str, str]) -> None:
    process = performia(*arguments, environment=environment)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert text in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_two_processes_at_once_compute_each_step_once(excerpt: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    both = [performia("analyze", excerpt, "-o", tmp_path / f"out{i}", "--json", environment=environment) for i in range(2)]
    ended = [outcome(process) for process in both]
    assert [code for code, _, _ in ended] == [0, 0]
    one, two = (steps_of(results[0]) for _, results, _ in ended)
    for step in one:
        assert sorted((one[step]["cached"], two[step]["cached"])) == [False, True], step


def test_a_killed_run_is_taken_up_where_it_was_and_leaves_nothing_running(
    demo_song: Path, tmp_path: Path, environment: dict[str, str], data_dir: Path
) -> None:
    results = data_dir / "cache" / "results"
    song = cut(demo_song, tmp_path / "song.flac", 0, 30)
    killed = performia("analyze", song, "-o", tmp_path / "out", environment=environment)
    deadline = time.monotonic() + 120
    while not (list(results.glob("ingest-*")) and list((data_dir / "scratch").glob("*-*"))):  # until the separation writes its first
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list(results.glob("separation-*"))
    deadline = time.monotonic() + 60
    while left := list(processes_with(f"PERFORMIA_DATA_DIR={data_dir}")):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)

    code, ended, _ = outcome(performia("analyze", song, "-o", tmp_path / "out", "--json", environment=environment))
    assert code == 0
    steps = steps_of(ended[0])
    assert steps["ingest"]["cached"]
    assert not steps["separation"]["cached"]
    assert not list((data_dir / "scratch").glob("*-*"))
    assert not list((data_dir / "artifacts").rglob("*.tmp"))


def test_a_map_is_validated_and_the_schema_printed(tmp_path: Path, environment: dict[str, str]) -> None:
    schema = json.loads(performia("schema", environment=environment).communicate(timeout=60)[0])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    (tmp_path / "bad.json").write_text('{"id": 3}')
    process = performia("validate", tmp_path / "bad.json", tmp_path / "none.json", environment=environment)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "$.id" in out
    assert "none.json" in out
