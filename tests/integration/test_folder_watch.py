"""The folder watch's flow against a real Prefect API; nobody runs what it starts, so that the test says how runs end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Completed, Crashed, Failed, State

from flows import analyze_song
from flows.folder_watch.flow import watch_folder
from flows.folder_watch.report import WatchReport
from flows.folder_watch.rules import WatchRules
from flows.folder_watch.server_runs import ANALYZE_SONG
from schemas.options import AnalysisOptions, Quality
from tasks.common.errors import DeploymentMissing, FolderNotFound

pytestmark = pytest.mark.usefixtures("prefect_api")

RULES = WatchRules(settle_sec=0, pause_sec=0, attempts=2)


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def deployment(client: SyncPrefectClient) -> Iterator[None]:
    made = analyze_song.to_deployment("analyze-song").apply()
    yield
    client.delete_deployment(made)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "album").mkdir(parents=True)
    return tmp_path / "inbox"


def drop(inbox: Path, name: str) -> Path:
    """A file of a content that no other test has."""
    (inbox / name).write_bytes(os.urandom(64))
    return inbox / name


def watch(inbox: Path, **parameters: object) -> WatchReport:
    report: WatchReport = watch_folder(inbox=inbox, outbox=inbox.parent / "out", **{"rules": RULES, **parameters})
    return report


def run_of(client: SyncPrefectClient, path: Path) -> FlowRun:
    """The latest run of a file."""
    latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)  # of all tests of the session
    runs = [run for run in latest if run.parameters.get("song") == str(path)]
    return max(runs, key=lambda run: run.created)


def end(client: SyncPrefectClient, path: Path, state: State[object]) -> None:
    client.set_flow_run_state(run_of(client, path).id, state, force=True)


@pytest.mark.usefixtures("deployment")
def test_a_settled_file_starts_one_run_that_knows_what_to_do(client: SyncPrefectClient, inbox: Path) -> None:
    path = drop(inbox, "album/song.wav")
    options = AnalysisOptions(quality=Quality.fast)
    report = watch(inbox, options=options)
    assert (report.accepted, report.started, report.songs["running"]) == (("album/song.wav",),) * 2 + (1,)
    run = run_of(client, path)
    assert run.name == "song.wav"
    assert run.parameters["output_dir"] == str(inbox.parent / "out" / "album")
    assert run.parameters["options"]["quality"] == "fast"
    assert len(run.parameters["expected_sha256"]) == 64
    assert watch(inbox, options=options).started == ()


@pytest.mark.usefixtures("deployment")
def test_a_song_whose_name_is_no_text_gets_a_run(client: SyncPrefectClient, inbox: Path) -> None:
    path = drop(inbox, os.fsdecode(b"caf\xe9.wav"))
    report = watch(inbox)
    assert (report.started, report.skipped) == ((r"caf\xe9.wav",), ())
    latest = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)
    songs = [Path(run.parameters["song"]) for run in latest if run.name == "café.wav"]
    assert [song.resolve() for song in songs] == [path]


@pytest.mark.usefixtures("deployment")
def test_another_watcher_that_knows_nothing_gets_the_same_run(
    client: SyncPrefectClient, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.common.settings import reset_settings

    path = drop(inbox, "a.wav")
    watch(inbox)
    first = run_of(client, path).id
    monkeypatch.setenv("PERFORMIA_DATA_DIR", str(tmp_path / "another machine"))
    reset_settings()
    assert watch(inbox).songs["running"] == 1
    assert run_of(client, path).id == first


@pytest.mark.usefixtures("deployment")
def test_runs_that_end_are_followed(client: SyncPrefectClient, inbox: Path) -> None:
    done, crashed, cancelled, failed = (drop(inbox, f"{name}.wav") for name in ("done", "crashed", "cancelled", "failed"))
    watch(inbox)
    end(client, done, Completed())
    end(client, crashed, Crashed(message="The process died."))
    end(client, cancelled, Cancelled())
    end(client, failed, Failed(message="Flow run encountered an exception: StorageError: STORAGE_ERROR: no answer. Check."))
    report = watch(inbox)
    assert dict(report.ended)["done.wav"] == "done"
    assert sorted(report.started) == ["crashed.wav", "failed.wav"]
    assert (inbox / "failed" / "cancelled.wav").exists()
    end(client, failed, Failed(message="STORAGE_ERROR: again"))
    report = watch(inbox)
    assert report.songs == {"waiting": 0, "starting": 0, "running": 1, "done": 1, "failed": 2}
    assert "STORAGE_ERROR" in (inbox / "failed" / "failed.wav.report.txt").read_text()
    assert "failed.wav" in report.markdown()


@pytest.mark.usefixtures("deployment")
def test_a_run_that_somebody_deleted_is_made_again(client: SyncPrefectClient, inbox: Path) -> None:
    path = drop(inbox, "a.wav")
    watch(inbox)
    run = run_of(client, path).id
    client.delete_flow_run(run)
    assert watch(inbox).started == ("a.wav",)
    assert run_of(client, path).id != run


@pytest.mark.usefixtures("deployment")
def test_a_run_that_stays_starts_what_is_dropped_and_follows_it(
    client: SyncPrefectClient, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def until(_: SyncPrefectClient) -> float:
        """Called after each look: the world goes on, and in the end it is time for the next run."""
        looks.append(len(looks))
        runs = [run for run in client.read_flow_runs(limit=200) if run.parameters.get("song") == str(inbox / "late.wav")]
        if not (inbox / "late.wav").exists() and not runs:
            drop(inbox, "late.wav")
        elif runs and not runs[0].state.is_final():
            end(client, inbox / "late.wav", Cancelled())
        return 0.0 if (inbox / "failed" / "late.wav").exists() else float("inf")

    monkeypatch.setattr("flows.folder_watch.flow._hand_over", until)
    report = watch(inbox, stay_sec=120)
    assert (report.accepted, report.started) == (("late.wav",), ("late.wav",))
    assert dict(report.ended) == {"late.wav": "failed"}
    assert "| late.wav | started |" in report.markdown()
    assert len(looks) < 12  # it waited for what happened


def test_a_run_that_stays_ends_when_it_is_time_for_the_next(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.folder_watch.changes import Changes

    real, waits = Changes.wait, []

    def wait(self: Changes, seconds: float) -> bool:
        waits.append(seconds)
        return real(self, seconds)

    monkeypatch.setattr(Changes, "wait", wait)
    monkeypatch.setattr("flows.folder_watch.flow._hand_over", lambda _: time.time() + 1.0)
    watch(inbox, stay_sec=3600)
    assert max(waits) <= 1.0  # it was told so by its first look


@pytest.mark.usefixtures("deployment")
def test_a_server_that_is_away_for_a_while_ends_no_run_that_stays(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.folder_watch import flow as module

    drop(inbox, "a.wav")
    real, refused = module.start_run, []

    def start_run(*arguments: object) -> str:
        if not refused:
            refused.append(1)
            raise httpx.ConnectError("All connection attempts failed")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "start_run", start_run)
    monkeypatch.setattr(module, "_hand_over", lambda _: 0.0)
    report = watch(inbox, stay_sec=120)
    assert report.started == ("a.wav",)


def test_without_the_deployment_nothing_is_lost(inbox: Path) -> None:
    drop(inbox, "a.wav")
    with pytest.raises(DeploymentMissing, match="serve"):
        watch(inbox)
    made = analyze_song.to_deployment(ANALYZE_SONG.partition("/")[2]).apply()
    with get_client(sync_client=True) as client:
        assert watch(inbox).started == ("a.wav",)
        client.delete_deployment(made)


def test_only_the_inbox_of_the_settings_is_made(tmp_path: Path, data_dir: Path) -> None:
    with pytest.raises(FolderNotFound):
        watch(tmp_path / "none")
    assert watch_folder().files == 0
    assert (data_dir / "inbox").is_dir()
