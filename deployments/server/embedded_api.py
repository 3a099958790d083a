"""The Prefect API inside one command: started with it, gone with it.

Prefect can start such a server itself, but that one outlives a command that is killed, and it prints tracebacks when it goes. This one
watches a pipe from its parent: when the parent ends, however it ends, the pipe closes and the server stops after finishing what it is
writing. A Prefect server that the user has configured (`PREFECT_API_URL` or the active profile) is used instead.

`performia serve` runs the same server for as long as it serves, with the UI and all services, on a known port; commands that find it
running use it.

Run as a module it is the server: `python -m deployments.server.embedded_api SOCKET PORT`. It inherits the socket; the port is for whoever
reads a list of processes.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from deployments.server.busy_database import App, waiting_for_database
from deployments.server.interpreter import end_soon
from flows.run.unreachable import refuse_unreachable

#: A first start migrates a new database: 14 s here, 75 s seen on slow machines.
_START_SEC = 120.0
_STOP_SEC = 10.0
_FULL_COLLECTION_SEC = 20
_BACKLOG = 2048  # uvicorn's
#: Objects made and not freed since the last collection.
_LITTLE_GARBAGE = 500

#: How Prefect's client waits for a server that is busy or away, in our commands and in the runs of our deployments.
PATIENCE: Final = {
    # After 2, 4, 8, ... seconds: for two minutes, as long as a step waits for its slot. By default it is one.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    # 429, 502 and 503 always; 500 is a server on SQLite whose connections all wait for another writer, 504 one behind a proxy.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
}

#: What keeps the server and the client quiet, offline and patient; a user's own values win.
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    **PATIENCE,
}


def quiet_prefect() -> None:
    """Set Prefect's environment for a command-line tool and all that it starts. Call before Prefect is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


#: What a server does by the clock, as seldom as nobody notices. In brackets: Prefect's default, for a server that many workers ask.
_AT_REST = {
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",  # [5] marks a run as late that nobody started
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",  # [5] our flows do not pause
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",  # [5] a schedule that a person has changed
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",  # [5] messages to workers
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "30",  # [15] leases of slots, which last for two minutes
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",  # [15] who has not asked for a minute
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT30S",  # [5 s] automations that wait for something not to happen, minutes long
}
#: What a server of one machine needs to come back after a crash as it was, and to hand slots over without long pauses.
_LASTING = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    # The UI asks where it was loaded from, whatever the port.
    "PREFECT_SERVER_UI_API_URL": "/api",
    # Prefect makes an hour's scheduled runs in advance; after a pause, all that were missed would start at once.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
    # One future run of each schedule in the UI's lists, not three.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "1",
    **_AT_REST,
}


def _own_pages_only(port: int) -> dict[str, str]:
    """What Prefect itself does against pages that are not the server's own, besides `deployments.server.door`. A user's own values win."""
    return {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        # On as long as the clients' half is.
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": os.environ.get("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "true"),
    }


#: `performia serve` says in the environment of its runs which process it is.
SERVICE_PID = "PERFORMIA__SERVICE_PID"

_private = False
#: In Prefect's home. Two commands that start at once must not both migrate a new database.
_START_LOCK = ".performia-start.lock"


def api_is_private() -> bool:
    """Whether this process runs against an API that nobody looks at and that goes with it."""
    return _private


class EmbeddedApi:
    """with EmbeddedApi(log): flows run against a private API on loopback, unless the user configured one or `performia serve` runs one.

    port: the port to listen on, for whoever knows it; if not given, any that is free, and whoever has not this object's password is
    refused. lasting: with the UI, the scheduler and all other services.
    """

    def __init__(self, log: Path, port: int | None = None, lasting: bool = False):
        self.log = log
        self.port = port
        self.lasting = lasting
        self.url = ""
        #: Only this process, and what it starts, is to use a server whose port nobody was told.
        self._password = f"performia:{secrets.token_urlsafe(32)}" if port is None else None
        self._server: subprocess.Popen[bytes] | None = None
        self._settings = ExitStack()
        self._started_early_in: Path | None = None
        self._new_database: Path | None = None
        self._start_lock: Any = None

    def begin(self) -> None:
        """Start the server now, if it looks as if one will be needed: before Prefect is imported, which takes as long as that. A new
        database takes it twice as long again.

        `__enter__` waits for the server, or stops it where Prefect's settings name another one; `abandon` where it is not entered. No
        database is made where there are profiles already, one of which may name a server elsewhere.
        """
        from filelock import FileLock, Timeout

        quiet_prefect()
        home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
        elsewhere = os.environ.get("PREFECT_API_URL") or os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL")
        database = home / "prefect.db"
        if elsewhere or serving_url() or ((home / "profiles.toml").exists() and not database.exists()):
            return
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # as Prefect makes it
        lock = FileLock(home / _START_LOCK)
        with suppress(Timeout):  # another command is starting: wait for it in turn
            lock.acquire(timeout=0)
            self._start_lock = lock
            self._started_early_in = home
            self._new_database = None if database.exists() else database
            self._launch()

    def abandon(self) -> None:
        """Let a server that was begun end by itself, as soon as it has started, and leave no log of it."""
        if self._server is not None and self._server.stdin is not None:
            self._leave_no_half_made_database()
            self._server.stdin.close()
            self._server = None
            self.log.unlink(missing_ok=True)
        self._let_others_start()

    def _leave_no_half_made_database(self) -> None:
        """Kill a server that is making a new database, and remove what it made: others wait for it, and may not begin while it goes on."""
        if self._new_database is None or self._server is None or self.port is None or _is_healthy(self.port):
            return
        self._server.kill()
        self._server.wait()
        for ending in ("", "-wal", "-shm", "-journal"):
            self._new_database.with_name(self._new_database.name + ending).unlink(missing_ok=True)

    def __enter__(self) -> EmbeddedApi:
        quiet_prefect()
        from filelock import FileLock
        from prefect.settings import PREFECT_API_URL, PREFECT_HOME

        self.url = PREFECT_API_URL.value() or ""
        home = Path(PREFECT_HOME.value())
        if self._started_early_in is not None and (self.url or self._started_early_in != home):
            self._leave_no_half_made_database()
            self._stop()
            self._let_others_start()
        if self.url:
            refuse_unreachable(self.url)
            self._configure()
            return self
        if self._server is None and not self.lasting and (serving := serving_url()):
            refuse_without_password(serving)
            self.url = serving
            self._configure()
            return self
        if self._server is None:
            home.mkdir(parents=True, exist_ok=True)
            self._start_lock = FileLock(home / _START_LOCK)
            self._start_lock.acquire()
            self._launch()
        try:
            self.url = self._until_ready()
        except BaseException:  # interrupted: a block that was not entered is never left
            self._stop()
            raise
        finally:
            self._let_others_start()
        global _private
        _private = not self.lasting
        self._configure(self._password)
        return self

    def _configure(self, password: str | None = None) -> None:
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        # The flows report by themselves that they live.
        settings = {PREFECT_API_URL: self.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        self._settings.enter_context(temporary_settings({**settings, PREFECT_API_AUTH_STRING: password} if password else settings))

    def revive(self) -> bool:
        """Start the server again if it has died. Returns whether it had."""
        if self._server is None or self._server.poll() is None:
            return False
        self._launch()
        self._until_ready()
        return True

    def __exit__(self, *_: object) -> None:
        if self._server is None:
            self._settings.close()
            return
        _flush_events()
        self._stop()
        self._settings.close()
        global _private
        _private = False

    def _stop(self) -> None:
        assert self._server is not None
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(_STOP_SEC)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def _let_others_start(self) -> None:
        if self._start_lock is not None:
            self._start_lock.release()
            self._start_lock = None

    def _launch(self) -> None:
        # Listened on from here on, so that no other user of the machine takes the port before the server does, and hears the password.
        listener = socket.create_server(("127.0.0.1", self.port or 0), backlog=_BACKLOG)
        self.port = port = int(listener.getsockname()[1])
        self.log.parent.mkdir(parents=True, exist_ok=True)
        private = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        # In the environment, which other users of the machine cannot read; a command line they can.
        password = {"PREFECT_SERVER_API_AUTH_STRING": self._password} if self._password else {}
        with listener, self.log.open("ab" if self.lasting else "wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "deployments.server.embedded_api", str(listener.fileno()), str(port)],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
                # Out of the terminal's process group: Ctrl-C is for the command, which then stops the server in order.
                start_new_session=True,
                env={**_LASTING, **_own_pages_only(port), **os.environ, **({} if self.lasting else private), **password},
            )

    def _until_ready(self) -> str:
        assert self._server is not None
        assert self.port is not None
        deadline = time.monotonic() + _START_SEC
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                raise RuntimeError(f"Prefect's API stopped at its start; {self.log} says why")
            if _is_healthy(self.port):
                return f"http://127.0.0.1:{self.port}/api"
            time.sleep(0.05)
        raise RuntimeError(f"Prefect's API did not start within {_START_SEC:.0f} s; {self.log} says why")


def _is_healthy(port: int) -> bool:
    """Asked without httpx, whose every client reads the machine's certificates: that would keep a core busy until the server is there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def serving_file() -> Path:
    """Where `performia serve` says which API it runs; a lock beside it says that it still does."""
    from tasks.common.settings import get_settings

    return get_settings().data_dir / "serve.json"


def serving_url() -> str | None:
    """The API that a running `performia serve` of this data directory runs."""
    from filelock import FileLock, Timeout

    file = serving_file()
    try:
        url = json.loads(file.read_text(encoding="utf-8"))["api_url"]
        FileLock(file.with_suffix(".lock"), thread_local=False).acquire(timeout=0).lock.release()
    except Timeout:
        return str(url)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def served_folders() -> dict[str, Path]:
    """The inbox and the output folder of a running `performia serve` of this data directory; empty where none runs."""
    if serving_url() is None:
        return {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(serving_file().read_text(encoding="utf-8"))
        return {"inbox_dir": Path(told["inbox"]), "output_dir": Path(told["songs"])}
    return {}


def _flush_events() -> None:
    """Send what is queued before the server goes, so that nothing complains about it later."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=5)
    EventsWorker.drain_all(timeout=5)


def refuse_without_password(url: str) -> None:
    """Raise ApiUnreachable where a server wants a password and the environment has none, or another."""
    import httpx
    from prefect.settings import get_current_settings

    from tasks.common.errors import ApiUnreachable

    given = get_current_settings().api.auth_string
    secret = given.get_secret_value() if given is not None else ""
    user, _, password = secret.partition(":")
    with suppress(httpx.HTTPError):
        if httpx.get(f"{url}/admin/version", auth=(user, password) if secret else None, timeout=10).status_code == HTTPStatus.UNAUTHORIZED:
            raise ApiUnreachable(
                f"The service at {url} wants a password", "Set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING"
            )


def api() -> App:
    """Prefect's API behind a door, which waits where SQLite is busy with another writer."""
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS

    from deployments.server.door import Door, guarded, name_of
    from tasks.common.settings import get_settings

    door = Door(
        hosts=frozenset(name_of(host) for host in get_settings().allowed_hosts),
        origins=frozenset(origin.strip() for origin in PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")),
    )
    return guarded(waiting_for_database(create_app()), door)


def serve(listener: int) -> None:
    """Serve Prefect's API on a socket, given by its number, until standard input closes."""
    import uvicorn

    from deployments.server.idle_server import QuietServer, poll_less

    poll_less()
    config = uvicorn.Config("deployments.server.embedded_api:api", factory=True, log_level="error", timeout_graceful_shutdown=2)
    server = QuietServer(config)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.stop()
        time.sleep(_START_SEC)  # a migration under way is finished first
        os._exit(1)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    _collect_garbage_apart()
    server.run(sockets=[socket.socket(fileno=listener)])
    end_soon()


def _collect_garbage_apart() -> None:
    """Let a thread of its own collect the garbage of this process, so that the event loop never does.

    SQLAlchemy leaves cursors of SQLite to the collector. To free one takes its connection's mutex, which a writer that waits for SQLite's
    lock holds. Where the event loop collects, it then waits for that writer; and where the loop was to end the transaction that the writer
    waits for, the server stands still for a minute.
    """
    from tasks.common.memory import return_free_memory

    gc.disable()

    def collect() -> None:
        for second in itertools.count(1):
            time.sleep(1.0)
            if second % _FULL_COLLECTION_SEC == 0:
                gc.collect()
                return_free_memory()
                if second == _FULL_COLLECTION_SEC:
                    gc.freeze()  # what the server consists of: to look through it took most of what a server at rest did
            elif gc.get_count()[0] > _LITTLE_GARBAGE:
                gc.collect(1)

    threading.Thread(target=collect, name="garbage", daemon=True).start()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
