"""What a served run tells a person at the terminal, and how it ends with its service."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
from prefect import flow

from flows.run import hooks
from flows.run.hooks import failure_line

_SERVICE = """
import os, subprocess, sys
from flows.run.hooks import SERVICE_PID
run = "from flows.run.hooks import end_with_service; import time; end_with_service(); print('up', flush=True); time.sleep(600)"
environment = {**os.environ, SERVICE_PID: sys.argv[1] or str(os.getpid())}
child = subprocess.Popen([sys.executable, "-c", run], env=environment, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_failure_is_one_line_with_code_file_and_what_to_do() -> None:
    message = "Flow run encountered an exception: AudioEmpty: AUDIO_EMPTY: /in/a.mp3 is empty. The file has no content;\\n copy it again."
    assert failure_line("a.mp3", message.replace("\\n", "\n")) == (
        "a.mp3: AUDIO_EMPTY: /in/a.mp3 is empty. The file has no content; copy it again."
    )
    assert failure_line("b.mp3", "Flow run encountered an exception: ValueError: no") == "b.mp3: ValueError: no"
    assert failure_line("c.mp3", "") == "c.mp3: failed"
    assert failure_line("d\x1b[2J\udce9.mp3", "") == r"d [2J\xe9.mp3: failed"


def _run_of_a_killed_service(service_pid: str) -> psutil.Process:
    service = subprocess.Popen([sys.executable, "-c", _SERVICE, service_pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    run = psutil.Process(int(service.stdout.readline()))
    service.kill()
    service.wait()
    return run


def test_a_run_ends_when_its_service_is_killed() -> None:
    run = _run_of_a_killed_service("")
    run.wait(30)


def test_a_run_of_a_worker_goes_on_without_it() -> None:
    run = _run_of_a_killed_service(str(os.getpid()))
    gone, alive = psutil.wait_procs([run], timeout=2.5)
    run.kill()
    assert alive == [run]
    assert gone == []


@pytest.mark.parametrize("watched", [True, False])
def test_a_song_shows_its_progress_where_somebody_can_look(watched: bool, prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(hooks, "is_watched", lambda: watched)
    monkeypatch.setattr(hooks.LiveProgress, "start", lambda self: shown.append("start"))
    monkeypatch.setattr(hooks.LiveProgress, "stop", lambda self: shown.append("stop"))

    @flow(name="analyze-song", **hooks.LIFE)
    def run() -> None:
        shown.append("run")

    run()
    assert shown == (["start", "run", "stop"] if watched else ["run"])
    assert not hooks._live_progress
