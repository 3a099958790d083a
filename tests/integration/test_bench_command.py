"""`performia bench`, with light engines in the steps' places."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from flows.bench_command import read_earlier
from tasks.common.errors import BenchmarkFailed

SUPPORT = Path(__file__).parents[1] / "support"


def bench(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flows.cli", "bench", *map(str, words)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False)


def test_a_song_is_timed_and_compared(short_song: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"songs": [{"song": short_song.stem, "cold_sec": 1000.0, "cached_sec": 1000.0}]}))
    done = bench(short_song, "-o", results, PYTHONPATH=str(SUPPORT))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(results.read_text())["songs"]
    assert row["song"] == short_song.stem
    assert set(row["steps"]) >= {"separation", "asr", "beats_key", "chords", "melody", "bass", "structure"}
    assert min(row["cold_sec"], row["cached_sec"], row["peak_mib"]) > 0
    assert "against the earlier run: cold × 0.0" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".json") == ["results.json"]


def test_a_song_that_cannot_be_analysed_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no music")
    done = bench(tmp_path / "text.mp3", "-o", tmp_path / "results.json")
    assert done.returncode == 1
    assert "AUDIO_NOT_AUDIO" in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_an_analysis_that_fails_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(88200), 44100)
    done = bench(tmp_path / "silent.wav", "-o", tmp_path / "results.json")
    assert done.returncode == 1
    assert "BENCHMARK_FAILED" in done.stderr
    assert "AUDIO_SILENT" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_what_to_compare_with_must_be_figures(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(BenchmarkFailed, match=r"other\.json"):
        read_earlier(tmp_path / "other.json")
    assert read_earlier(tmp_path / "absent.json") == {}
