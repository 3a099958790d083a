"""Pruning after real runs, on a real Prefect server, with light engines."""

from __future__ import annotations

import datetime
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from light_engines import AT_HAND
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.states import Running

from flows import analyze_song
from flows.retention.flow import prune
from flows.retention.prune import DAY_SEC, PruneReport
from schemas.song_map import SongMap
from tasks.common.settings import get_settings
from tasks.packager.validation import validate_file

pytestmark = pytest.mark.usefixtures("prefect_api", "light_engines")


@pytest.fixture
def client(prefect_api: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def fast_forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """fast_forward(days): what the runs so far left behind is that much older; the server's runs seem so to prune."""

    def age(days: float) -> None:
        for path in get_settings().data_dir.rglob("*"):
            if path.is_file() and "songs" not in path.parts:
                then = path.stat().st_mtime - days * DAY_SEC
                os.utime(path, (then, then))

    return age


def files_of(*folders: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}


def cache_files() -> dict[Path, int]:
    settings = get_settings()
    return files_of(settings.results_dir, Path(settings.artifacts_url))


def a_song(path: Path, pitch: float) -> Path:
    seconds = np.arange(4 * 44100) / 44100
    soundfile.write(path, np.column_stack([0.3 * np.sin(2 * np.pi * f * seconds) for f in (pitch, 1.5 * pitch)]), 44100)
    return path


def pruned_files(report: PruneReport) -> int:
    return sum(item.bytes for item in report.pruned)


def test_what_nobody_used_goes_and_the_kept_map_stays_whole(short_song: Path, fast_forward: Callable[[float], None]) -> None:
    song_map = analyze_song(short_song, AT_HAND)
    before = cache_files()
    fast_forward(8)
    report = prune()
    assert report.totals()["record"][0] == 8
    assert report.totals()["audio"] == (6, sum(size for path, size in before.items() if path.suffix == ".wav"))
    assert cache_files() == {}
    assert song_map.folder is not None
    assert validate_file(song_map.folder / "song_map.json") == []
    assert {path.stem for path in (song_map.folder / "stems").iterdir()} == {stem.name for stem in song_map.stems}


def test_a_dry_run_deletes_nothing_and_tells_exactly_what_the_real_one_frees(
    short_song: Path, fast_forward: Callable[[float], None]
) -> None:
    analyze_song(short_song, AT_HAND)
    fast_forward(8)
    before = cache_files()
    foreseen = prune(dry_run=True)
    assert cache_files() == before
    done = prune()
    assert foreseen.dry_run
    assert not done.dry_run
    assert [item for item in foreseen.pruned if item.kind != "run"] == [item for item in done.pruned if item.kind != "run"]
    assert foreseen.bytes == done.bytes == sum(before.values())
    assert prune().bytes == 0


def test_a_pruned_song_can_be_analysed_again(
    short_song: Path, light_engines: dict[str, Any], fast_forward: Callable[[float], None]
) -> None:
    first = analyze_song(short_song, AT_HAND)
    fast_forward(8)
    prune()
    second = analyze_song(short_song, AT_HAND)
    assert {step.status for _, step in second.steps} == {"ok"}
    assert second.chords == first.chords
    assert light_engines["calls"]["separate_song"] == 2


def test_a_song_that_was_answered_from_the_cache_was_used(short_song: Path, fast_forward: Callable[[float], None]) -> None:
    analyze_song(short_song, AT_HAND)
    fast_forward(8)
    analyze_song(short_song, AT_HAND)
    before = cache_files()
    report = prune()
    assert report.bytes == 0
    assert cache_files() == before
    again = analyze_song(short_song, AT_HAND)
    assert {step.status for _, step in again.steps} == {"cached"}


def test_only_the_song_that_nobody_used_goes(short_song: Path, tmp_path: Path, fast_forward: Callable[[float], None]) -> None:
    analyze_song(short_song, AT_HAND)
    old = cache_files()
    fast_forward(8)
    analyze_song(a_song(tmp_path / "new.wav", 440), AT_HAND)
    new = {path for path in cache_files() if path not in old}
    prune()
    assert set(cache_files()) == new


def test_the_last_copy_of_a_kept_maps_stem_stays(short_song: Path, tmp_path: Path, fast_forward: Callable[[float], None]) -> None:
    song_map = analyze_song(short_song, AT_HAND, tmp_path / "kept")
    assert song_map.folder is not None
    (song_map.folder / "stems" / "drums.flac").unlink()
    with (song_map.folder / "stems" / "bass.flac").open("r+b") as file:
        file.seek(-400, os.SEEK_END)
        file.write(b"\1" * 400)
    fast_forward(8)
    report = prune(outputs=[tmp_path / "kept"])
    names = {stem.sha256: stem.name for stem in song_map.stems}
    assert {names[path.stem] for path in cache_files()} == {"drums", "bass"}
    assert report.notes == ("2 audio files stay: kept Song Maps refer to them",)


def test_all_audio_of_kept_maps_stays_if_asked_for(short_song: Path, fast_forward: Callable[[float], None]) -> None:
    song_map = analyze_song(short_song, AT_HAND)
    fast_forward(8)
    prune(keep_all_audio_of_maps=True)
    assert {path.stem for path in cache_files()} == {stem.sha256 for stem in song_map.stems} | {song_map.source.audio_sha256}


def test_what_a_running_analysis_uses_stays_whatever_its_age(
    short_song: Path, tmp_path: Path, light_engines: dict[str, Any], fast_forward: Callable[[float], None]
) -> None:
    """A run that takes its stems from the cache, is held in the middle, and reads them after a prune of everything."""
    analyze_song(short_song, AT_HAND)
    analyze_song(a_song(tmp_path / "other.wav", 440), AT_HAND)
    fast_forward(8)
    reached, go_on = threading.Event(), threading.Event()
    original = light_engines["tasks.melody_bass.track_notes.track_melody"]

    def held(source: Any, stems: Any, *rest: Any) -> Any:
        reached.set()
        assert go_on.wait(60)
        for ref in (source.audio, stems.vocals, stems.drums, stems.bass, stems.other, stems.instrumental):
            assert rest[-1].store.path(ref).is_file()
        return original(source, stems, *rest)

    light_engines["tasks.melody_bass.track_notes.track_melody"] = held
    for record in get_settings().results_dir.glob("melody-*"):
        record.unlink()
    ended: list[SongMap] = []
    running = threading.Thread(target=lambda: ended.append(analyze_song(short_song, AT_HAND, tmp_path / "out")))
    running.start()
    try:
        assert reached.wait(60)
        report = prune(older_than_days=0)
    finally:
        go_on.set()
        running.join(60)
    assert report.totals()["audio"][0] == 6  # the other song's
    assert "short song.wav has been running since then" in report.notes[0]
    assert [song_map.status for song_map in ended] == ["complete"]


def test_a_run_whose_process_died_holds_nothing(short_song: Path, client: SyncPrefectClient, fast_forward: Callable[[float], None]) -> None:
    analyze_song(short_song, AT_HAND)
    fast_forward(8)
    dead = client.create_flow_run(ended_run, state=Running())
    mark = get_settings().data_dir / "runs" / f"{dead.id}.run"
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    report = prune(older_than_days=0)
    assert not any("has been running" in note for note in report.notes)
    assert cache_files() == {}


@flow(name="analyze-song")
def ended_run() -> None:
    """Stands for a song's run: only its record matters."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.logging import get_run_logger

    get_run_logger().warning("a line in the log")
    create_markdown_artifact("text", key="old-run")


@flow(name="somebody-elses")
def foreign_run() -> None:
    """A run of another flow on the same server."""


def ids_of(client: SyncPrefectClient, *ids: Any) -> set[Any]:
    return {run.id for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))))}


def test_records_of_runs_go_with_all_that_hangs_on_them_and_foreign_runs_stay(client: SyncPrefectClient) -> None:
    mine = ended_run(return_state=True).state_details.flow_run_id
    foreign = foreign_run(return_state=True).state_details.flow_run_id
    logs = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[mine]))
    artifacts = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[mine]))
    wait_until(lambda: bool(client.read_logs(log_filter=logs)))
    assert client.read_artifacts(artifact_filter=artifacts)
    assert mine in ids_of(client, mine)
    prune(older_than_days=7)
    assert ids_of(client, mine, foreign) == {mine, foreign}
    report = prune(older_than_days=0, dry_run=True)
    assert any(str(mine) in item.name for item in report.pruned)
    assert ids_of(client, mine, foreign) == {mine, foreign}
    prune(older_than_days=0)
    assert ids_of(client, mine, foreign) == {foreign}
    assert client.read_artifacts(artifact_filter=artifacts) == []
    wait_until(lambda: client.read_logs(log_filter=logs) == [])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_prunes_at_once_both_end_well(short_song: Path, tmp_path: Path, fast_forward: Callable[[float], None]) -> None:
    analyze_song(short_song, AT_HAND)
    analyze_song(a_song(tmp_path / "other.wav", 440), AT_HAND)
    size = sum(cache_files().values())
    fast_forward(8)
    reports: list[PruneReport] = []
    both = [threading.Thread(target=lambda: reports.append(prune())) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert sum(report.bytes for report in reports) == size
    assert cache_files() == {}


def test_the_ui_shows_what_went(short_song: Path, fast_forward: Callable[[float], None], client: SyncPrefectClient) -> None:
    analyze_song(short_song, AT_HAND)
    fast_forward(8)
    state = prune(return_state=True)
    found = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    )
    tables = {artifact.key: str(artifact.data) for artifact in found}
    assert set(tables) == {"prune-totals", "prune-files"}
    assert "decoded songs and stems" in tables["prune-totals"]
    assert "separation-v1-" in tables["prune-files"]


def test_the_deployment_is_tried_with_the_parameters_of_the_form() -> None:
    assert prune.validate_parameters({"older_than_days": 3, "dry_run": True})["older_than_days"] == 3
    with pytest.raises(Exception, match="greater than or equal to 0"):
        prune.validate_parameters({"older_than_days": -1})
    assert datetime.timedelta(days=get_settings().retention_days).days == 7
