"""The watch of a running service: it stays, sees what is dropped, is started again when it ends, and tells a person what matters."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from service import Service, kill, tones

BAD = {"empty.mp3": b"", "text.mp3": b"this is text, and no song\n" * 20}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("watching")
    shutil.copytree(prefect_database, folder / "prefect")
    found = Service(folder, folder / "prefect")
    try:
        yield found.start()
    finally:
        found.kill_all()


def test_one_run_of_the_watch_sees_every_song(service: Service) -> None:
    watch = service.watching()
    for number in (1, 2):
        tones(service.inbox / "album" / f"{number}.wav", 220 + 40 * number)
        service.wait((service.songs / "album" / str(number) / "song_map.json").exists, 180, "no Song Map")
    assert [run["id"] for run in service.runs("watch-folder", "RUNNING", "COMPLETED", "CRASHED", "CANCELLED")] == [watch]
    run = service.get(f"flow_runs/{watch}")
    assert (run["state_type"], run["name"]) == ("RUNNING", "watch inbox")
    pages = service.post("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [watch]}}})
    assert len(pages) == 1
    service.wait(lambda: "2 files; songs: 2 done" in service.get(f"artifacts/{pages[0]['id']}")["data"], 20, "the watch's page is not true")


def test_what_no_try_can_cure_is_moved_at_once_and_told_in_a_line(service: Service) -> None:
    service.watching()
    for name, content in BAD.items():
        (service.inbox / name).write_bytes(content)
    reports = [service.inbox / "failed" / f"{name}.report.txt" for name in BAD]
    service.wait(lambda: all(report.exists() for report in reports), 60, "a bad file is not moved")
    assert sorted(run["name"] for run in service.runs("analyze-song", "FAILED")) == sorted(BAD)
    said = service.log.read_text(errors="replace")
    lines = [line for line in said.splitlines() if "AUDIO_" in line]
    assert sorted(line.split(": ")[:2] for line in lines) == [["empty.mp3", "AUDIO_EMPTY"], ["text.mp3", "AUDIO_NOT_AUDIO"]]
    assert all(str(service.inbox) in line for line in lines)
    assert "copy or download it again" in lines[0] + lines[1]
    assert "Traceback" not in said
    run = service.runs("analyze-song", "FAILED")[0]
    logs = service.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    assert any("Traceback" in log["message"] for log in logs)  # for who looks deeper, on the run's page


def test_scheduled_runs_bear_their_deployments_name_and_are_few(service: Service) -> None:
    service.watching()

    def names() -> list[str]:
        return sorted(run["name"] for flow in ("watch-folder", "prune") for run in service.runs(flow, "SCHEDULED"))

    service.wait(lambda: names() == ["prune", "watch-folder"], 180, "scheduled runs bear other names")


def test_the_doctor_shows_the_folders_that_are_served(service: Service) -> None:
    command = [sys.executable, "-m", "deployments.cli.main", "doctor"]
    environment = {
        name: value for name, value in service.environment.items() if name not in ("PERFORMIA_INBOX_DIR", "PERFORMIA_OUTPUT_DIR")
    }
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
    assert f"{service.inbox}," in said
    assert f"{service.songs}," in said


@pytest.mark.parametrize(("how", "hertz"), [("killed", 620), ("cancelled", 740)])  # the same sound again would be the same song
def test_a_watch_that_ended_before_its_time_is_started_again(service: Service, how: str, hertz: int) -> None:
    watch = service.watching()
    if how == "killed":
        kill(service.run_pid(watch))
    else:
        service.cancel(watch)
    assert service.ended(watch, 60)["state_type"] == ("CRASHED" if how == "killed" else "CANCELLED")
    assert service.watching() != watch
    tones(service.inbox / f"{how}.wav", 500, hertz)
    service.wait((service.songs / how / "song_map.json").exists, 180, "no Song Map")


def test_what_a_killed_service_was_doing_ends_and_is_taken_up_by_the_next(tmp_path: Path, prefect_home: Path) -> None:
    service = Service(tmp_path, prefect_home, LIGHT_SECONDS="120")
    try:
        service.start()
        tones(service.inbox / "long.wav", 220)
        service.wait(lambda: bool(service.executions()), 90, "no step starts")
        runs = [service.executions()[0][4], service.run_pid(service.watching())]
        assert service.process is not None
        kill(service.process.pid)
        service.process.wait()
        service.wait(lambda: not any(psutil.pid_exists(run) for run in runs), 15, "a run goes on without its service")
        service.wait(lambda: list(service.pids()) == [], 15, "something is left of the service")
        service.environment["LIGHT_SECONDS"] = "0"
        service.start()
        service.wait((service.songs / "long" / "song_map.json").exists, 180, "no Song Map")
        assert "watch inbox" not in service.log.read_text()
    finally:
        service.kill_all()
