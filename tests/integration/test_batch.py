"""Folders of songs, with light engines: what becomes of each song, and what a second start does."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from schemas.batch import BatchSummary
from schemas.options import AnalysisOptions
from tasks.common.errors import AllSongsFailed, FolderHasNoSongs, FolderNotFound, StorageError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def tone(folder: Path) -> Callable[..., Path]:
    """tone("live/a.wav", 330): four seconds of a tone, a file below the folder."""

    def make(name: str, frequency: float) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * frequency * np.arange(4 * 44100) / 44100), 44100)
        return path

    return make


@pytest.fixture
def analyze(folder: Path, tmp_path: Path, light_engines: dict[str, Any], prefect_api: None) -> Callable[..., BatchSummary]:
    from flows.folder_analysis.flow import analyze_folder

    def run(**changes: Any) -> BatchSummary:
        arguments: dict[str, Any] = {"folder": folder, "output_dir": tmp_path / "out", "at_once": 2}
        return analyze_folder(**(arguments | changes))

    return run


def entries(out: Path) -> dict[str, dict[str, Any]]:
    """The manifest's songs by their file names; both files say the same."""
    songs = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["songs"]
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [song["file"] for song in songs]
    return {Path(song["file"]).name: song for song in songs}


def computed(light_engines: dict[str, Any]) -> int:
    """How many songs were separated."""
    return int(light_engines["calls"].get("separate_song", 0))


def test_a_bad_song_does_not_stop_the_others_and_each_is_accounted_for(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path, tmp_path: Path, light_engines: dict[str, Any]
) -> None:
    tone("good.wav", 220)
    tone("album/good.wav", 330)
    (folder / "text.mp3").write_text("no music")
    (folder / "gone.flac").symlink_to(folder / "nowhere")
    quiet = tone("lacking.wav", 440)
    transcribe = light_engines["tasks.asr.transcribe.transcribe_lyrics"]

    def deaf_to_one(source: Any, stems: Any, plan: Any, ctx: Any) -> Any:
        if source.file_bytes == quiet.stat().st_size and source.audio.sha256 == lacking_id[0]:
            raise RuntimeError("deaf")
        return transcribe(source, stems, plan, ctx)

    from tasks.common.step import local_context
    from tasks.ingest.ingest import ingest_song

    with local_context() as ctx:
        lacking_id = [ingest_song(quiet, ctx).audio.sha256]
    light_engines["tasks.asr.transcribe.transcribe_lyrics"] = deaf_to_one

    summary = analyze()
    assert (summary.songs, summary.done, summary.cached, summary.partial, summary.failed, summary.skipped) == (4, 2, 0, 1, 1, 1)
    assert summary.music_sec == pytest.approx(12.0)
    assert summary.songs_per_hour is not None
    found = entries(tmp_path / "out")
    assert {name: entry["status"] for name, entry in found.items()} == {
        "good.wav": "done",
        "text.mp3": "failed",
        "gone.flac": "skipped",
        "lacking.wav": "partial",
    }
    assert found["text.mp3"]["error_code"] == "AUDIO_NOT_AUDIO"
    assert "deaf" in found["lacking.wav"]["error"]
    assert (found["good.wav"]["key"], found["good.wav"]["bpm"], found["good.wav"]["duration_sec"]) == ("A minor", 120.0, 4.0)
    # Songs of one name in different folders have their own.
    maps = [json.loads((tmp_path / "out" / place / "song_map.json").read_text()) for place in ("good", "album/good")]
    assert maps[0]["id"] != maps[1]["id"]


def test_files_of_any_name_are_analysed_and_accounted_for(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path, tmp_path: Path, light_engines: dict[str, Any]
) -> None:
    tone("good.wav", 220)
    odd = tone("odd.wav", 330).rename(folder / os.fsdecode("Кино.wav".encode("cp1251")))
    (folder / os.fsdecode(b"bad\xe9\x1b[2J.mp3")).write_text("no music")
    summary = analyze()
    assert (summary.songs, summary.done, summary.failed, summary.skipped) == (3, 2, 1, 0)
    found = entries(tmp_path / "out")
    assert found[r"\xca\xe8\xed\xee.wav"]["song_map"] == "Кино/song_map.json"
    assert found["bad\\xe9\x1b[2J.mp3"]["error_code"] == "AUDIO_NOT_AUDIO"
    document = json.loads((tmp_path / "out" / "Кино" / "song_map.json").read_text(encoding="utf-8"))
    assert (document["title"], document["source"]["file_name"]) == ("Кино", "Кино.wav")
    again = analyze()
    assert (again.done, again.cached, again.failed) == (0, 2, 1)

    from flows.song_analysis import analyze_song

    assert analyze_song(odd, AnalysisOptions(), tmp_path / "direct").id == document["id"]


@pytest.mark.slow
def test_a_second_start_analyses_only_what_is_not_finished(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], tmp_path: Path, light_engines: dict[str, Any]
) -> None:
    for name, frequency in (("a.wav", 220), ("b.wav", 330), ("c.wav", 440)):
        tone(name, frequency)
    assert analyze().done == 3
    assert computed(light_engines) == 3
    again = analyze()
    assert (again.done, again.cached, again.songs_per_hour) == (0, 3, None)
    assert {entry["status"] for entry in entries(tmp_path / "out").values()} == {"done"}

    tone("b.wav", 550)  # another song under the same name
    shutil.rmtree(tmp_path / "out" / "c")
    third = analyze()
    assert (third.done, third.cached) == (1, 2)
    assert computed(light_engines) == 4
    assert (tmp_path / "out" / "c" / "song_map.json").is_file()
    assert analyze(options=AnalysisOptions(language="en")).cached == 0


@pytest.mark.slow
def test_other_words_beside_a_song_analyse_it_again(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], light_engines: dict[str, Any]
) -> None:
    song = tone("a.wav", 220)
    tone("b.wav", 330)
    assert analyze().done == 2
    song.with_suffix(".txt").write_text("words of another song", encoding="utf-8")
    assert (again := analyze()).done == 1
    assert again.cached == 1
    assert light_engines["calls"]["transcribe_lyrics"] == 2
    assert analyze().cached == 2


def test_songs_with_the_same_sound_are_computed_once(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path, light_engines: dict[str, Any]
) -> None:
    song = tone("one.wav", 220)
    for copy in ("two.wav", "three.wav"):
        shutil.copy(song, folder / copy)
    summary = analyze(at_once=3)
    assert summary.done + summary.cached == 3
    assert set(light_engines["calls"].values()) == {1}


def test_names_of_any_kind_reach_the_manifest_and_the_file_system_unharmed(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], tmp_path: Path
) -> None:
    names = ["$(touch pwned);`id`.wav", "=1+1.wav", '夜に, "駆ける".wav', "ta\tb\nline.wav", "-rf.wav", "[red]x.wav"]
    for name, frequency in zip(names, range(200, 800, 100), strict=True):
        tone(f"{'a b' if name.startswith('=') else ''}/{name}".lstrip("/"), frequency)
    assert analyze().done == len(names)
    found = entries(tmp_path / "out")
    assert sorted(found) == sorted(names)
    assert all((tmp_path / "out" / entry["song_map"]).is_file() for entry in found.values())
    assert not list(tmp_path.rglob("pwned"))


def test_results_written_into_the_folder_itself_are_not_analysed(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path
) -> None:
    tone("a.wav", 220)
    assert analyze(output_dir=folder).songs == 1
    assert analyze(output_dir=folder).songs == 1
    assert analyze(output_dir=folder / "out").songs == 1


def test_a_folder_that_cannot_be_analysed_is_refused_by_name(
    analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(FolderHasNoSongs):
        analyze()
    with pytest.raises(FolderNotFound):
        analyze(folder=folder / "none")
    (folder / "text.mp3").write_text("no music")
    with pytest.raises(AllSongsFailed):
        analyze()
    assert entries(tmp_path / "out")["text.mp3"]["status"] == "failed"
    with pytest.raises(StorageError):
        analyze(output_dir=folder / "text.mp3")


def test_the_runs_are_named_and_end_as_the_songs_did(analyze: Callable[..., BatchSummary], tone: Callable[..., Path], folder: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    good = tone("a very good song.wav", 220)
    (folder / "a very bad song.wav").write_text("no music")
    analyze()
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_="a very")))
        assert {run.name: run.state.name for run in runs if run.state} == {good.name: "Completed", "a very bad song.wav": "Failed"}
        assert all(run.parent_task_run_id for run in runs)
        parents = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=["in"])))
        assert "Partial" in {run.state.name for run in parents if run.state}


# --- the command, as a process of its own ----------------------------------------------------------------------------------------------


@pytest.fixture
def environment(data_dir: Path, prefect_home: Path, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PERFORMIA_DATA_DIR": str(data_dir),
        "PREFECT_HOME": str(prefect_home),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "tests" / "support"), str(ROOT))),
        "LIGHT_LOG": str(tmp_path / "log"),
        "LIGHT_SECONDS": "0.3",
    }


def command(folder: Path, *arguments: str | Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "deployments.cli.main", "analyze-folder", str(folder), *map(str, arguments)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def still_there(data_dir: Path) -> Iterator[int]:
    """Processes that work on this test's data."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("PERFORMIA_DATA_DIR") == str(data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid
        except psutil.Error:
            continue


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_stopped_batch_leaves_nothing_behind_and_goes_on_where_it_was(
    how: signal.Signals, folder: Path, tone: Callable[..., Path], tmp_path: Path, environment: dict[str, str], data_dir: Path
) -> None:
    for number in range(6):
        tone(f"{number}.wav", 200 + 50 * number)
    out = tmp_path / "out"
    first = command(folder, "-o", out, "--at-once", "2", environment=environment)
    deadline = time.monotonic() + 120
    while not (out / "manifest.json").exists() or len(entries_or_none(out)) < 2:
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(how)
    _, err = first.communicate(timeout=60)
    assert "Traceback" not in err
    if how is not signal.SIGKILL:
        assert first.returncode == 130
        assert "Stopped after" in err
        assert not list((data_dir / "scratch").glob("*-*"))
    deadline = time.monotonic() + 30
    while left := list(still_there(data_dir)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    finished = sum(entry["status"] == "done" for entry in entries_or_none(out).values())
    assert 2 <= finished < 6

    second = command(folder, "-o", out, "--at-once", "2", "--json", environment=environment)
    printed, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    summary = json.loads(printed)
    assert (summary["songs"], summary["failed"]) == (6, 0)
    assert summary["cached"] >= finished
    assert len(entries(out)) == 6
    ends = [line.split()[2:4] for line in (tmp_path / "log").read_text().splitlines() if " end " in line]
    computed_twice = len(ends) - len({tuple(end) for end in ends})
    assert computed_twice <= 2 * 7  # at most the steps that were being written when it was stopped


def entries_or_none(out: Path) -> dict[str, dict[str, Any]]:
    songs = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["songs"]
    return {song["file"]: song for song in songs}


def test_a_wrong_folder_is_refused_at_once_and_leaves_nothing(folder: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    for place, code in ((folder, "FOLDER_HAS_NO_SONGS"), (folder / "none", "FOLDER_NOT_FOUND"), (Path(__file__), "FOLDER_IS_FILE")):
        process = command(place, "-o", tmp_path / "out", environment=environment)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert code in err
        assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_memory_stays_flat_over_many_songs(folder: Path, tone: Callable[..., Path], tmp_path: Path, environment: dict[str, str]) -> None:
    for number in range(60):
        tone(f"{number}.wav", 200 + number)
    out = tmp_path / "out"
    process = command(folder, "-o", out, "--at-once", "2", environment=environment | {"LIGHT_SECONDS": "0"})
    weights: dict[int, list[int]] = {}
    while process.poll() is None:
        finished = len(entries_or_none(out)) if (out / "manifest.json").exists() else 0
        with suppress(psutil.Error):
            weights.setdefault(finished, []).append(psutil.Process(process.pid).memory_info().rss)
        time.sleep(0.05)
    assert process.returncode == 0, process.communicate()
    assert typical(weights, 50, 60) < 1.05 * typical(weights, 10, 20)


def typical(weights: dict[int, list[int]], start: int, end: int) -> float:
    """What the process weighed while songs number `start` to `end` were analysed."""
    return float(np.median([weight for finished in range(start, end) for weight in weights.get(finished, [])]))
