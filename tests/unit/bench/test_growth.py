"""Exponents, and recordings of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.performance.bench import growth, recordings
from tests.performance.bench.errors import BenchmarkFailed


def row(minutes: float, **steps: float) -> dict[str, object]:
    return {"minutes": minutes, "steps_sec": steps, "all_sec": sum(steps.values()), "peak_mib": 100}


ROWS = [row(1, asr=2.0, chords=1.0), row(10, asr=20.0, chords=100.0), row(20, asr=40.0, chords=400.0)]
FIGURES = {"song": "A & B", "rows": {f"{r['minutes']} min": r for r in ROWS}, "exponents": growth.exponents(ROWS)}


def test_exponents_are_slopes_between_the_two_longest() -> None:
    found = growth.exponents(ROWS)
    assert found["asr"] == 1.0
    assert found["chords"] == 2.0
    assert found["all"] == pytest.approx(np.log2(440 / 120), abs=1e-3)


def test_one_length_has_no_exponent() -> None:
    assert growth.exponents(ROWS[:1]) == {}


def test_a_step_of_no_time_has_no_exponent() -> None:
    assert set(growth.exponents([row(1, asr=0.0, bass=1.0), row(2, asr=1.0, bass=2.0)])) == {"bass", "all"}


def test_the_table_ends_with_the_exponents() -> None:
    assert growth.report(FIGURES).splitlines()[-1].startswith("| exponent | 1.87 | 1 | 2 |")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).normal(0, 0.1, (80000, 2))
    soundfile.write(tmp_path / "song.wav", noise, 8000)
    return tmp_path / "song.wav"


def test_a_song_is_repeated_up_to_a_length(song: Path, tmp_path: Path) -> None:
    recordings.repeat(song, tmp_path / "long.flac", 0.6)
    samples, rate = soundfile.read(tmp_path / "long.flac", dtype="int16")
    assert len(samples) / rate == 36.0
    assert np.array_equal(samples[:80000], samples[80000:160000])


def test_excerpts_are_unlike_each_other(song: Path, tmp_path: Path) -> None:
    paths = recordings.cut(song, tmp_path / "pieces")
    contents = [soundfile.read(path, dtype="int16")[0] for path in paths]
    assert len({content[:100].tobytes() for content in contents}) == len(paths) == 8
    assert {len(content) for content in contents} == {40000}


def test_excerpts_of_a_long_song_take_20_to_30_seconds(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(200 * 1000), 1000)
    lengths = [soundfile.info(path).duration for path in recordings.cut(tmp_path / "long.wav", tmp_path / "pieces")]
    assert lengths[0] == 20.0
    assert lengths[-1] == 30.0


def test_a_file_that_cannot_be_cut_is_named(tmp_path: Path) -> None:
    (tmp_path / "song.m4a").write_bytes(b"nothing")
    with pytest.raises(BenchmarkFailed, match=r"song\.m4a"):
        recordings.cut(tmp_path / "song.m4a", tmp_path / "pieces")
