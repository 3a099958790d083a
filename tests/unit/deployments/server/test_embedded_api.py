from __future__ import annotations

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout
from service import free_port, tones

from deployments.server import embedded_api
from deployments.server.discovery import refuse_without_password
from deployments.server.embedded_api import EmbeddedApi
from tasks.common.errors import ApiNotStarted, ApiUnreachable, PortTaken

_PROGRAM = """
import threading, time
from deployments.server import api_process

api_process._collect_garbage_apart()
collected_by = []

class Knot:
    def __init__(self):
        self.itself = self
    def __del__(self):
        collected_by.append(threading.current_thread().name)

for _ in range(20_000):  # by far enough for the collector to start by itself
    Knot()
assert not collected_by, collected_by[:3]
deadline = time.monotonic() + 60
while len(collected_by) < 20_000 and time.monotonic() < deadline:
    time.sleep(0.1)
print(len(collected_by), set(collected_by))
"""


def test_garbage_is_never_collected_by_the_event_loop() -> None:
    """Freeing a cursor of SQLite there stops the server for a minute: see `_collect_garbage_apart`."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "20000 {'garbage'}\n", done.stderr


def test_a_service_that_wants_a_password_is_not_asked_without_it() -> None:
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

    class Guarded(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.headers.get("Authorization") == "Basic dXNlcjpzZWNyZXQ=" else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api"
    try:
        with pytest.raises(ApiUnreachable, match="password"):
            refuse_without_password(url)
        with temporary_settings({PREFECT_API_AUTH_STRING: "user:secret"}):
            refuse_without_password(url)
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_takes_the_port_while_the_server_starts(tmp_path: Path, prefect_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user of the machine who listened there first would be told the password."""
    monkeypatch.setenv("PREFECT_HOME", str(prefect_home))
    api = EmbeddedApi(tmp_path / "api.log")
    api.begin()
    server = api._server
    assert server is not None
    assert api.port is not None
    try:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", api.port))
        api._until_ready()
    finally:
        api.abandon()
        server.wait(60)


def test_what_a_user_says_of_pages_wins_and_the_private_password_is_random_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []

    def popen(command: list[str], env: dict[str, str], **_: object) -> subprocess.Popen[bytes]:
        started.append(env)
        return subprocess.Popen(["true"], stdin=subprocess.PIPE)

    monkeypatch.setattr("deployments.server.embedded_api.subprocess", SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE))
    EmbeddedApi(tmp_path / "first.log")._launch()
    served = EmbeddedApi(tmp_path / "second.log", port=free_port(), lasting=True)
    served._launch()
    own = {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "https://band.example",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false",
        "PREFECT_SERVER_API_AUTH_STRING": "a:b",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    EmbeddedApi(tmp_path / "third.log")._launch()
    EmbeddedApi(tmp_path / "fourth.log", port=free_port(), lasting=True)._launch()
    first, second, third, fourth = ([env.get(name) for name in own] for env in started)
    assert first[1] == second[1] == "true"
    assert second[0] == f"http://127.0.0.1:{served.port}"
    assert third[:2] == fourth[:2] == ["https://band.example", "false"]
    assert second[2] is None
    assert fourth[2] == "a:b"
    assert len({first[2], third[2], "a:b", None}) == 4


_EARLY = """
import os, sys, time
from pathlib import Path
from filelock import FileLock
from deployments.server.embedded_api import EmbeddedApi

def launched(api):
    return api._server is not None

home = Path(os.environ["PREFECT_HOME"])
home.mkdir()
(home / "profiles.toml").touch()
configured = EmbeddedApi(Path("configured.log"))
configured.begin()
assert not launched(configured), "a profile may name another server"
(home / "profiles.toml").unlink()
home.rmdir()

refused = EmbeddedApi(Path("refused.log"))
refused.begin()
server = refused._server
while not (home / "prefect.db").exists():
    time.sleep(0.02)
refused.abandon()
assert server.poll() is not None, "it goes on making a database that another may begin to make now"
assert [file.name for file in home.iterdir()] == [".performia-start.lock"]
FileLock(home / ".performia-start.lock").acquire(timeout=0).lock.release()

first = EmbeddedApi(Path("first.log"))
first.begin()
assert launched(first)
waiting = EmbeddedApi(Path("waiting.log"))
waiting.begin()
assert not launched(waiting), "two must not make one database"
with first:
    pass
assert (home / "prefect.db").exists()
second = EmbeddedApi(Path("second.log"))
second.begin()
assert launched(second)
third = EmbeddedApi(Path("third.log"))
third.begin()
assert not launched(third), "another is starting"
server = second._server
with second:
    import httpx
    assert second._server is server
    assert httpx.get(second.url + "/health").status_code == 200
assert server.poll() is not None

fourth = EmbeddedApi(Path("fourth.log"))
fourth.begin()
server = fourth._server
fourth.abandon()
assert server.wait(60) is not None and not Path("fourth.log").exists()

fifth = EmbeddedApi(Path("fifth.log"))
fifth.begin()
server = fifth._server
Path(os.environ["PREFECT_HOME"], "profiles.toml").write_text('active = "own"\\n[profiles.own]\\nPREFECT_API_URL = "http://127.0.0.1:1/api"\\n')
program = "from pathlib import Path; from deployments.server.embedded_api import EmbeddedApi as E; "
program += "e = E(Path('f.log')); e.begin(); s = e._server; "
program += "import pytest; from tasks.common.errors import ApiUnreachable as U; pytest.raises(U, e.__enter__); "
os.execv(sys.executable, [sys.executable, "-c", program + "print(e.url, s is None or s.poll() is not None)"])
"""


@pytest.mark.slow
def test_the_server_is_started_before_prefect_is_imported_where_that_is_safe(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "PERFORMIA_"))}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PERFORMIA_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", _EARLY], capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path, env=environment
    )
    assert done.stdout == "http://127.0.0.1:1/api True\n", done.stderr


# --- a server that does not start --------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[4]


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A home of Prefect's that is not there yet, and no server configured."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    home = tmp_path / "home"
    with temporary_settings({PREFECT_HOME: home}, restore_defaults={PREFECT_API_URL}):
        yield home


def is_free(home: Path) -> bool:
    """Whether other commands may start their server."""
    try:
        FileLock(home / embedded_api._START_LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return False
    return True


def start_by(monkeypatch: pytest.MonkeyPatch, popen: Callable[..., subprocess.Popen[bytes]]) -> None:
    fake = SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr("deployments.server.embedded_api.subprocess", fake)


def dying(message: str) -> Callable[..., subprocess.Popen[bytes]]:
    def popen(_command: list[str], stderr: Any, **_: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", f"import sys; sys.exit({message!r})"], stdin=subprocess.PIPE, stderr=stderr)

    return popen


def test_a_server_that_dies_at_once_is_a_named_error(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_by(monkeypatch, dying("disk I/O [error]"))
    log = tmp_path / "api.log"
    with pytest.raises(ApiNotStarted, match=r"ended at its start \(disk I/O \[error\]\)") as caught, EmbeddedApi(log):
        pass
    assert str(log) in str(caught.value)
    assert is_free(own_home)


def test_a_server_that_takes_too_long_is_a_named_error(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def popen(*_: object, **__: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))
        return started[0]

    start_by(monkeypatch, popen)
    monkeypatch.setattr(embedded_api, "_START_SEC", 0.2)
    with pytest.raises(ApiNotStarted, match="did not start within"), EmbeddedApi(tmp_path / "api.log"):
        pass
    assert started[0].poll() is not None, "it is left behind"
    assert is_free(own_home)


def test_a_port_that_is_taken_is_a_named_error(tmp_path: Path, own_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)), EmbeddedApi(tmp_path / "api.log", port=port, lasting=True):
            pass
    assert is_free(own_home)


def test_a_log_that_cannot_be_written_is_a_named_error(tmp_path: Path, own_home: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ApiNotStarted, match="could not be started"), EmbeddedApi(tmp_path / "file" / "api.log"):
        pass
    assert is_free(own_home)


def test_starting_early_leaves_what_is_wrong_to_the_start_proper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    (tmp_path / "file").touch()
    for home, log in ((tmp_path / "file", tmp_path / "api.log"), (tmp_path / "home", tmp_path / "file" / "api.log")):
        monkeypatch.setenv("PREFECT_HOME", str(home))
        api = EmbeddedApi(log)
        api.begin()
        api.abandon()
    assert is_free(tmp_path / "home")


@pytest.mark.parametrize(("command", "trouble"), [("analyze", "the database is none"), ("analyze-folder", "the home is a file")])
def test_a_command_says_in_one_line_that_the_server_did_not_start(command: str, trouble: str, tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    if trouble == "the home is a file":
        home.touch()
    else:
        home.mkdir()
        (home / "prefect.db").write_bytes(b"no database " * 1000)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "PERFORMIA_"))}
    environment |= {"PREFECT_HOME": str(home), "PERFORMIA_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    song = tones(tmp_path / "songs" / "short.wav", 440)
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli.main", command, str(song if command == "analyze" else song.parent)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["API_NOT_STARTED"], done.stderr
    assert ("is not a database" if home.is_dir() else str(home)) in lines[0]
    assert "PREFECT_HOME" in lines[0]


def test_the_log_of_a_commands_api_lies_in_the_data_directory(data_dir: Path) -> None:
    api, lasting = EmbeddedApi.of_settings(), EmbeddedApi.of_settings(4200, lasting=True)
    assert (api.log, api.port, api.lasting) == (data_dir / "logs" / "prefect-api.log", None, False)
    assert (lasting.log, lasting.port, lasting.lasting) == (data_dir / "logs" / "prefect-server.log", 4200, True)
