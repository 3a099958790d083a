"""`performia serve`: one process that runs everything a machine needs, and looks after it.

    Prefect's API and UI (unless one is configured) ── limits, automation ── dead runs ended ── all deployments served ── songs come out
    the HTTP API, for other programs

It is started once. What dies is started again: the API, the runner, runs whose process was killed. When it is itself killed and started
again, it goes on where it was.
"""

from __future__ import annotations

import contextvars
import json
import os
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from deployments.server.discovery import serving_file
from deployments.server.door import Door, name_of, pages_at
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.http_api import HttpApi
from deployments.server.output_server import serving_outputs
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console
from flows.run.hooks import SERVICE_PID
from tasks.common.errors import AlreadyServing, FolderUnusable, PortTaken
from tasks.common.locks import Lock, try_to_hold
from tasks.common.settings import Settings, get_settings, reset_settings
from tasks.common.storage.atomic import atomic_write

PORT: Final = 4200
_LOOK_AFTER_SEC: Final = 2.0
#: How often the server is asked about the runs, and how soon again after a process has died.
_ASK_SEC: Final = 60.0
_SOON_SEC: Final = 2.0
_RESTART_SEC: Final = 3.0
#: How often the server is asked for runs to start: each time costs both of them some milliseconds, day and night.
_RUNS_SEC: Final = 4.0


@dataclass(frozen=True)
class ServeOptions:
    """What a person may say when serving."""

    inbox: Path | None = None
    output: Path | None = None
    roots: tuple[Path, ...] = ()
    at_once: int | None = None
    port: int = PORT
    api_port: int | None = None


def serve(options: ServeOptions) -> int:
    """Serve all deployments until interrupted. Returns the exit code. Raises AlreadyServing, PortTaken."""
    console = error_console()
    try:
        _serve(options, console)
    except KeyboardInterrupt:
        console.print("\nStopped. What is under way is taken up at the next start.")
    return 0


def _serve(options: ServeOptions, console: Console) -> None:
    _set_environment(options)
    with ExitStack() as stack:
        settings = get_settings()
        stack.enter_context(_only_one(serving_file().with_suffix(".lock")))
        # A shell lets what it starts in the background ignore SIGINT; and SIGTERM has no handler before the runner runs.
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.default_int_handler)
        for made in make_folders(settings.inbox, settings.songs_dir):
            console.print(f"made {escape(str(made))}", soft_wrap=True)
        for root in options.roots:
            if not root.is_dir():
                console.print(f"[yellow]{escape(str(root))} is not a folder; nothing is read there", soft_wrap=True)
        own_server = not _configured_api()
        if own_server:
            _refuse_taken_port(options.port)
        api_port = _free_api_port(settings, console)
        api = stack.enter_context(EmbeddedApi.of_settings(options.port, lasting=True))
        _say_what_is_served(api.url)
        stack.callback(serving_file().unlink, missing_ok=True)
        os.environ["PREFECT_API_URL"] = api.url  # for the runs
        if settings.output_url is None:
            auth = os.environ.get("PREFECT_API_AUTH_STRING")
            door = files_door(api.url)
            os.environ["PERFORMIA_OUTPUT_URL"] = stack.enter_context(serving_outputs(settings.songs_dir, auth=auth, door=door))
        for change in prepare(own_server):
            console.print(escape(change))
        http_api = stack.enter_context(HttpApi(api_port)) if api_port else None
        _greet(console, api.url, api_port)
        _run(console, api, http_api, options, own_server)


def files_door(api_url: str) -> Door:
    """The door of the songs' files: the UI of this API, by whatever name it was opened, shows pictures of them."""
    from prefect.settings import PREFECT_UI_URL

    names = frozenset(name_of(host) for host in get_settings().allowed_hosts)
    return Door(hosts=names, pages=pages_at(api_url, names) | pages_at(PREFECT_UI_URL.value() or api_url))


def _say_what_is_served(url: str) -> None:
    settings = get_settings()
    told = {"api_url": url, "pid": os.getpid(), "inbox": str(settings.inbox.absolute()), "songs": str(settings.songs_dir.absolute())}
    atomic_write(serving_file(), json.dumps(told).encode())


def make_folders(inbox: Path, songs: Path) -> list[Path]:
    """Make the folders that are not there, and return them. Raises FolderUnusable."""
    if inbox.resolve() == songs.resolve():
        raise FolderUnusable(f"{inbox} cannot be both the inbox and the output folder")
    made = []
    for folder in (inbox, songs):
        missing = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderUnusable(f"{folder} cannot be a folder: {error.strerror}") from error
        made += [folder] if missing else []
    return made


def prepare(own_server: bool) -> list[str]:
    """Make what the server lacks, end what died, and say what was done."""
    from prefect.client.orchestration import get_client

    from deployments.installation import install
    from deployments.limits import free_lost_slots
    from flows.folder_watch.page import WATCH_NAME
    from tasks.common.orchestration.liveness import reap_dead_runs

    # The watch of the inbox is always under way and is started anew: nothing to tell a person.
    dead = [run for run in reap_dead_runs(server_is_ours=own_server) if not run.name.startswith(WATCH_NAME)]
    done = [f"ended the run {run.name!r}, whose process had died" for run in dead]
    with get_client(sync_client=True) as client:
        if own_server:
            done += [f"made {change}" for change in install(client, {})]
        done += free_lost_slots(client)
    return done


def deployments(at_once: int | None) -> list[Any]:
    """The deployments to serve, each with its flow found by module."""
    import importlib

    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.types.entrypoint import EntrypointType

    from deployments.definitions import DEFINITIONS

    served = []
    for definition in DEFINITIONS:
        module, _, name = definition.flow.rpartition(".")
        limit = at_once if at_once and definition.name == "analyze-song" else definition.concurrency_limit
        served.append(
            getattr(importlib.import_module(module), name).to_deployment(
                definition.name,
                interval=definition.interval_sec,
                cron=definition.cron,
                parameters=dict(definition.parameters),
                description=definition.description,
                tags=list(definition.tags),
                concurrency_limit=ConcurrencyLimitConfig(
                    limit=limit, collision_strategy=ConcurrencyLimitStrategy(definition.collision_strategy)
                ),
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
        )
    return served


def _run(console: Console, api: EmbeddedApi, http_api: HttpApi | None, options: ServeOptions, own_server: bool) -> None:
    """Run Prefect's runner, and start it again when it fails: without an API it gives up after a while."""
    import anyio
    from prefect.runner import Runner

    from tasks.common.orchestration.prefect_private import quiet_runner

    quiet_runner()
    stopping = threading.Event()
    context = contextvars.copy_context()  # which knows the API's address
    threading.Thread(target=context.run, args=(_look_after, console, api, http_api, stopping), name="look-after", daemon=True).start()
    try:
        while True:
            runner = Runner(
                name="performia",
                query_seconds=_RUNS_SEC,
                limit=None,  # the deployments have limits of their own
                pause_on_shutdown=not own_server,
            )
            try:
                anyio.run(_serve_once, runner, deployments(options.at_once))
                return
            except Exception as error:  # noqa: BLE001 (whatever ended the runner, it is started again)
                console.print(f"[yellow]the runner stopped and is started again: {escape(repr(error)[:300])}")
                time.sleep(_RESTART_SEC)
    finally:
        stopping.set()


async def _serve_once(runner: Any, served: list[Any]) -> None:
    for deployment in served:
        await runner.aadd_deployment(deployment)
    await runner.start()


def _look_after(console: Console, api: EmbeddedApi, http_api: HttpApi | None, stopping: threading.Event) -> None:
    """Are the APIs alive, and the runs, and is the inbox watched? The server is asked when a process has died here, and now and then."""
    from prefect.client.orchestration import get_client

    from deployments.server.watch_keeper import WatchKeeper
    from tasks.common.orchestration.liveness import any_died_here, reap_dead_runs

    keeper = WatchKeeper()
    ask_at = 0.0
    while not stopping.wait(_LOOK_AFTER_SEC):
        try:
            if api.revive():
                console.print("[yellow]Prefect's API had died and was started again")
            if http_api is not None and http_api.revive():
                console.print("[yellow]the HTTP API had died and was started again")
            died = any_died_here()
            if not died and time.monotonic() < ask_at:
                continue
            with get_client(sync_client=True) as client:
                for run in reap_dead_runs(client):
                    console.print(f"[yellow]ended the run {escape(run.name)!r}, whose process had died")
                if not died:  # then the next time: an automation of the server may start the watch again too
                    keeper.keep(client)
            ask_at = time.monotonic() + (_ASK_SEC if keeper.settled and not died else _SOON_SEC)
        except Exception as error:  # noqa: BLE001 (looked after again in a moment, whatever happened)
            console.print(f"[yellow]could not look after the runs: {escape(repr(error)[:300])}")


def _set_environment(options: ServeOptions) -> None:
    """What the command says goes into the environment, from which this process and all runs read it."""
    for name, value in (("PERFORMIA_INBOX_DIR", options.inbox), ("PERFORMIA_OUTPUT_DIR", options.output)):
        if value is not None:
            os.environ[name] = str(value.absolute())
    if options.api_port is not None:
        os.environ["PERFORMIA_API_PORT"] = str(options.api_port)
    reset_settings()
    settings = get_settings()
    if options.roots:
        roots = dict.fromkeys((settings.inbox.absolute(), *settings.input_roots, *(root.absolute() for root in options.roots)))
        os.environ["PERFORMIA_INPUT_ROOTS"] = json.dumps([str(root) for root in roots])
        reset_settings()
    os.environ[SERVICE_PID] = str(os.getpid())
    os.environ["PERFORMIA_DATA_DIR"] = str(settings.data_dir.absolute())
    auth = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    if auth:  # the runs and this process must give what the server asks for
        os.environ.setdefault("PREFECT_API_AUTH_STRING", auth)
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
    quiet_prefect()


def _configured_api() -> str:
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or ""


def _only_one(path: Path) -> Lock:
    """One `performia serve` a data directory. Raises AlreadyServing."""
    lock = try_to_hold(path)
    if lock is None:
        raise AlreadyServing(f"`performia serve` runs already with the data directory {get_settings().data_dir}")
    return lock


def _refuse_taken_port(port: int, todo: str | None = None) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(f"Port {port} cannot be listened on: {error.strerror}", todo) from error


def _free_api_port(settings: Settings, console: Console) -> int:
    """The HTTP API's port; 0 for none. Raises PortTaken for one that was asked for; what is only usual may be another program's."""
    if settings.api_port:
        try:
            _refuse_taken_port(settings.api_port, "Choose another with --api-port, or none with --api-port 0")
        except PortTaken as error:
            if "api_port" in settings.model_fields_set:
                raise
            console.print(f"[yellow]{escape(str(error))}: there is no HTTP API; --api-port names another port", soft_wrap=True)
            return 0
    return settings.api_port


def _greet(console: Console, url: str, api_port: int) -> None:
    settings = get_settings()
    ui = url.removesuffix("/api")
    console.print(f"[bold]inbox     [/] {escape(str(settings.inbox))}   songs put here are analysed", soft_wrap=True)
    console.print(f"[bold]songs     [/] {escape(str(settings.songs_dir))}", soft_wrap=True)
    console.print(f"[bold]UI        [/] {escape(ui)}", soft_wrap=True)
    if api_port:
        console.print(f"[bold]API       [/] http://127.0.0.1:{api_port}/docs", soft_wrap=True)
    console.print(f"[bold]for Prefect's own commands[/] export PREFECT_API_URL={escape(url)}", soft_wrap=True)
    console.print("Ctrl-C stops.", soft_wrap=True)
