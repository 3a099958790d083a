"""The Prefect API inside one command: started with it, gone with it.

Prefect can start such a server itself, but that one outlives a command that is killed, and it prints tracebacks when it goes. This one
watches a pipe from its parent: when the parent ends, however it ends, the pipe closes and the server stops after finishing what it is
writing. A Prefect server that the user has configured (`PREFECT_API_URL` or the active profile) is used instead.

`performia serve` runs the same server for as long as it serves, with the UI and all services, on a known port; commands that find it
running use it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from deployments.server import api_process
from deployments.server.discovery import refuse_without_password, serving_url
from deployments.server.prefect_environment import LASTING, own_pages_only, quiet_prefect
from flows.run.unreachable import refuse_unreachable
from flows.run.watching import unwatched
from tasks.common.errors import ApiNotStarted, PortTaken
from tasks.common.locks import Lock, hold, try_to_hold
from tasks.common.settings import get_settings

#: A first start migrates a new database: 14 s here, 75 s seen on slow machines.
_START_SEC = 120.0
_STOP_SEC = 10.0
_BACKLOG = 2048  # uvicorn's

#: So much of a line of the log stands in an error, and how a line begins that ends a traceback.
_SHOWN = 300
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception): ")
#: In Prefect's home. Two commands that start at once must not both migrate a new database.
_START_LOCK = ".performia-start.lock"


class EmbeddedApi:
    """with EmbeddedApi.of_settings(): flows run against a private API on loopback, unless the user configured one or `performia serve` runs
    one.

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
        self._start_lock: Lock | None = None

    @classmethod
    def of_settings(cls, port: int | None = None, lasting: bool = False) -> EmbeddedApi:
        """The API of a command, or a lasting one, with its log in the data directory."""
        return cls(get_settings().data_dir / "logs" / ("prefect-server.log" if lasting else "prefect-api.log"), port, lasting)

    def begin(self) -> None:
        """Start the server now, if it looks as if one will be needed: before Prefect is imported, which takes as long as that. A new
        database takes it twice as long again.

        `__enter__` waits for the server, or stops it where Prefect's settings name another one; `abandon` where it is not entered. No
        database is made where there are profiles already, one of which may name a server elsewhere.
        """
        quiet_prefect()
        home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
        elsewhere = os.environ.get("PREFECT_API_URL") or os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL")
        database = home / "prefect.db"
        if elsewhere or serving_url() or ((home / "profiles.toml").exists() and not database.exists()):
            return
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)  # as Prefect makes it
            self._start_lock = try_to_hold(home / _START_LOCK)
            if self._start_lock is None:  # another command is starting: wait for it in turn
                return
            self._new_database = None if database.exists() else database
            self._launch()
            self._started_early_in = home
        except (OSError, ApiNotStarted, PortTaken):  # told when the server is needed
            self._let_others_start()

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
        """Raises ApiUnreachable where a configured server does not answer, and ApiNotStarted or PortTaken where our own does not start."""
        quiet_prefect()
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
            self._configure(heartbeat=False)
            return self
        try:
            if self._server is None:
                self._start_lock = _start_lock_in(home)
                self._launch()
            self.url = self._until_ready()
        except BaseException:  # interrupted, too: a block that was not entered is never left
            self._stop()
            raise
        finally:
            self._let_others_start()
        if not self.lasting:
            self._settings.enter_context(unwatched())
        self._configure(self._password, heartbeat=False)
        return self

    def _configure(self, password: str | None = None, heartbeat: bool = True) -> None:
        """heartbeat: whether runs say now and then that they live. For a server of this machine the kernel says so, and Prefect's thread
        would hold up the end of each run for up to a second.
        """
        from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        settings: dict[Any, Any] = {PREFECT_API_URL: self.url}
        if not heartbeat:
            settings[PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = None
        if password:
            settings[PREFECT_API_AUTH_STRING] = password
        self._settings.enter_context(temporary_settings(settings))

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
        from tasks.common.orchestration.prefect_private import drain_queues

        drain_queues()  # before the server goes, so that nothing complains about it later
        self._stop()
        self._settings.close()

    def _stop(self) -> None:
        if self._server is None:
            return
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
        """Start the server's process. Raises ApiNotStarted, PortTaken."""
        try:
            self._launch_process()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"Something listens on port {self.port} of this machine already") from error
            raise ApiNotStarted(f"Prefect's API could not be started ({error})") from error

    def _launch_process(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # Listened on from here on, so that no other user of the machine takes the port before the server does, and hears the password.
        listener = socket.create_server(("127.0.0.1", self.port or 0), backlog=_BACKLOG)
        self.port = port = int(listener.getsockname()[1])
        kind = api_process.LASTING if self.lasting else api_process.PRIVATE
        no_pages = {} if self.lasting else {"PREFECT_UI_ENABLED": "0"}
        # In the environment, which other users of the machine cannot read; a command line they can.
        password = {"PREFECT_SERVER_API_AUTH_STRING": self._password} if self._password else {}
        with listener, self.log.open("ab" if self.lasting else "wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", api_process.__name__, str(listener.fileno()), str(port), kind],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                stdout=log,
                stderr=log,
                # Out of the terminal's process group: Ctrl-C is for the command, which then stops the server in order.
                start_new_session=True,
                env={**LASTING, **own_pages_only(port), **os.environ, **no_pages, **password},
            )

    def _until_ready(self) -> str:
        assert self._server is not None
        assert self.port is not None
        deadline = time.monotonic() + _START_SEC
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                raise ApiNotStarted(f"Prefect's API ended at its start{self._last_words()}; its log is {self.log}")
            if _is_healthy(self.port):
                return f"http://127.0.0.1:{self.port}/api"
            time.sleep(0.05)
        raise ApiNotStarted(f"Prefect's API did not start within {_START_SEC:g} s{self._last_words()}; its log is {self.log}")

    def _last_words(self) -> str:
        """The last exception in the server's log, or else its last line, in brackets."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        raised = [line for line in said if _EXCEPTION.match(line)]
        return f" ({(raised or said)[-1][:_SHOWN]})" if said else ""


def _start_lock_in(home: Path) -> Lock:
    """The lock of who starts a server on the database in Prefect's home. Raises ApiNotStarted."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        return hold(home / _START_LOCK)
    except OSError as error:
        raise ApiNotStarted(f"Prefect's API cannot keep its database in {home} ({error})") from error


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
