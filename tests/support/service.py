"""A whole service for a test: `performia serve` in a process of its own, with a data directory, a Prefect home and a port of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
#: The runner asks every four seconds for runs to start.
_START_SEC = 6.0


class Service:
    """Started with `start`, stopped or killed at will, and started again on the same folders."""

    def __init__(self, folder: Path, prefect_home: Path, **environment: str):
        self.folder = folder
        self.data = folder / "data"
        self.inbox = folder / "inbox"
        self.songs = folder / "songs"
        self.light_log = folder / "light.log"
        self.log = folder / "serve.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.process: subprocess.Popen[bytes] | None = None
        self.headers: dict[str, str] = {}
        self._csrf: dict[str, str] = {}
        for path in (self.data, self.inbox, self.songs):
            path.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PERFORMIA_"))},
            "PERFORMIA_DATA_DIR": str(self.data),
            "PERFORMIA_OFFLINE": "1",
            "PERFORMIA_API_PORT": "0",
            "PREFECT_HOME": str(prefect_home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}",
            "LIGHT_LOG": str(self.light_log),
            "OMP_NUM_THREADS": "1",
            **environment,
        }

    def start(self, *arguments: str) -> Service:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "deployments.cli.main",
                    "serve",
                    "--inbox",
                    self.inbox,
                    "-o",
                    self.songs,
                    "--port",
                    str(self.port),
                    *arguments,
                ],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self.wait(self._is_up, 120, "the service does not come up")
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return len(self.post("deployments/filter", {})) >= 4
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def kill_all(self) -> None:
        """As a power cut does: every process of the service, at once."""
        for pid in list(self.pids()):
            kill(pid)
        if self.process is not None:
            self.process.wait()

    def pids(self, having: str = "") -> Iterator[int]:
        """The processes of this service whose command line has a text."""
        mark = f"PERFORMIA_DATA_DIR={self.data}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if having in command and mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                    yield int(folder.name)
            except OSError:
                continue

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._ask("POST", path, body)

    def get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        for pause in (0.0, 0.5, 1.0, 2.0, 0.0):
            headers = {**self.headers, **self._csrf} if method != "GET" else self.headers
            response = httpx.request(method, f"{self.url}/{path}", json=body, timeout=60, headers=headers)
            if response.status_code == httpx.codes.FORBIDDEN and "CSRF" in response.text:  # as Prefect's client does
                self._csrf = {"Prefect-Csrf-Client": "tests", "Prefect-Csrf-Token": self.get("csrf-token?client=tests")["token"]}
            elif response.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # SQLite is busy: Prefect's client asks again too
                break
            time.sleep(pause)
        response.raise_for_status()
        return response.json() if response.content else None

    def runs(self, flow: str, *states: str) -> list[dict[str, Any]]:
        """The runs of a flow, in these state types."""
        body: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}, "limit": 200, "sort": "START_TIME_ASC"}
        if states:
            body["flow_runs"] = {"state": {"type": {"any_": list(states)}}}
        found: list[dict[str, Any]] = self.post("flow_runs/filter", body)
        return found

    def run(self, deployment: str, **parameters: Any) -> str:
        """Start a run of a deployment, and return its id."""
        found = self.get(f"deployments/name/{deployment}")
        run = self.post(f"deployments/{found['id']}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})
        return str(run["id"])

    def pause_schedule(self, deployment: str) -> None:
        """Let runs of a deployment start only when the test asks for one."""
        found = self.get(f"deployments/name/{deployment}")
        self._ask("PATCH", f"deployments/{found['id']}", {"paused": True})
        flow = deployment.partition("/")[0]
        seen = time.monotonic()

        def over() -> bool:
            """Not before it has been so for longer than the service may take to start a run that it was about to start."""
            nonlocal seen
            under_way = self.runs(flow, "RUNNING", "PENDING", "CANCELLING")
            for run in under_way:
                seen = time.monotonic()
                if run["state_type"] == "RUNNING":
                    self.cancel(run["id"])
            return time.monotonic() - seen > _START_SEC

        self.wait(over, 60, "a scheduled run goes on")

    def cancel(self, run: str) -> None:
        """As a person does in the UI."""
        self.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def look(self, **parameters: Any) -> dict[str, Any]:
        """Let the folder watch look once, now, and return its run when it ended. Only one may be under way: pause the schedule first."""
        return self.ended(self.run("watch-folder/watch-folder", stay_sec=0, **parameters))

    def watching(self) -> str:
        """The run that watches the inbox, as soon as there is one."""
        self.wait(lambda: bool(self.runs("watch-folder", "RUNNING")), 60, "the inbox is not watched")
        return str(self.runs("watch-folder", "RUNNING")[0]["id"])

    def run_pid(self, run: str) -> int:
        """The process of a run."""
        mark = f"PREFECT__FLOW_RUN_ID={run}".encode()
        found = [pid for pid in self.pids() if mark in Path(f"/proc/{pid}/environ").read_bytes()]
        assert len(found) == 1, found
        return found[0]

    def ended(self, run: str, timeout: float = 120) -> dict[str, Any]:
        """A run when it has ended."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        self.wait(lambda: self.get(f"flow_runs/{run}")["state_type"] in final, timeout, f"run {run} does not end")
        found: dict[str, Any] = self.get(f"flow_runs/{run}")
        return found

    def wait(self, condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                log = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
                raise AssertionError(f"{complaint} within {timeout:.0f} s\n{log}")
            time.sleep(0.25)

    def slots_taken(self, *limits: str) -> int:
        """How many slots of these limits are taken."""
        found = self.post("v2/concurrency_limits/filter", {})
        return sum(limit["active_slots"] for limit in found if limit["name"] in limits)

    def executions(self) -> list[tuple[float, str, str, str, int]]:
        """(unix time, kind, step, song id, pid) of every start and end of an engine."""
        if not self.light_log.exists():
            return []
        lines = [line.split() for line in self.light_log.read_text().splitlines()]
        return [(float(when), kind, step, song, int(pid)) for when, kind, step, song, pid in lines]


def tones(path: Path, *frequencies: float, seconds: float = 4.0) -> Path:
    """A song of a few tones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_axis = np.arange(int(seconds * 44100)) / 44100
    samples = sum(0.3 / len(frequencies) * np.sin(2 * np.pi * frequency * time_axis) for frequency in frequencies)
    soundfile.write(path, samples, 44100, format=path.suffix[1:].upper())
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
