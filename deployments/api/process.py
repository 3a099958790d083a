"""`performia api`: the HTTP API in a process, against Prefect's server as the settings name it, or as `performia serve` runs it."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Final

from deployments.server.discovery import refuse_without_password, served_folders, serving_url
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console
from tasks.common.errors import ApiKeyNeeded, ApiUnreachable, PortTaken
from tasks.common.settings import get_settings, reset_settings

_BACKLOG: Final = 2048
_LAST_WORK_SEC: Final = 10.0
#: Of `mallopt`, in malloc.h.
_ARENA_MAX: Final = -8
#: A client is told within seconds that Prefect's server is away, and asks again itself; our commands wait for minutes.
_RETRIES: Final = 2


def run_api(host: str | None, port: int | None, with_parent: bool) -> int:
    """Serve the API until interrupted; returns the exit code. with_parent: also until standard input closes.

    Raises ApiKeyNeeded, ApiUnreachable, PortTaken, SettingInvalid.
    """
    quiet_prefect()
    _use_server()
    settings = get_settings()
    host, port = host or settings.api_host, settings.api_port if port is None else port
    refuse_open_door(host)
    listener = _listening(host, port)
    from rich.markup import escape

    shown = f"http://{'[' + host + ']' if ':' in host else host}:{listener.getsockname()[1]}"
    if not with_parent:
        error_console().print(f"[bold]API[/] {escape(shown)}/docs   Ctrl-C stops.", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        _serve(listener, with_parent)
    return 0


def refuse_open_door(host: str) -> None:
    """Raise ApiKeyNeeded where the API would listen beyond this machine, and there is no key."""
    from deployments.api.keys import KeyRing, is_loopback

    if not is_loopback(host) and not KeyRing(get_settings()).keys():
        raise ApiKeyNeeded(f"The API is to listen on {host}, where others reach it, and there is no key")


def _use_server() -> None:
    """Settle which server of Prefect's is used, and where its songs lie. Raises ApiUnreachable."""
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        return
    url = serving_url()
    if url is None:
        raise ApiUnreachable(
            "No Prefect server is named, and no `performia serve` runs here",
            "Start `performia serve`, which runs the API too, or set PREFECT_API_URL",
        )
    refuse_without_password(url)
    for name, folder in served_folders().items():
        os.environ.setdefault(f"PERFORMIA_{name.upper()}", str(folder))
    os.environ["PREFECT_API_URL"] = url
    reset_settings()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortTaken(
            f"{host} port {port} cannot be listened on: {error.strerror}", "Choose another with --port, or PERFORMIA_API_PORT"
        ) from error


def _keep_memory_small() -> None:
    """Let the threads that write uploads share glibc's arenas: each of its own keeps megabytes that it once had."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def _serve(listener: socket.socket, with_parent: bool) -> None:
    _keep_memory_small()
    import uvicorn
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    from deployments.api.app import create_app
    from deployments.server.idle_server import QuietServer

    url = os.environ.get("PREFECT_API_URL") or PREFECT_API_URL.value()
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: _RETRIES}):
        config = uvicorn.Config(create_app(), log_level="error", timeout_graceful_shutdown=2, server_header=False, proxy_headers=False)
        server = QuietServer(config)
        if with_parent:
            threading.Thread(target=_end_with_parent, args=(server,), name="parent", daemon=True).start()
        server.run(sockets=[listener])


def _end_with_parent(server: object) -> None:
    """Stop when standard input closes; a thread that reads it is left behind at the end, which Python would not survive in order."""
    sys.stdin.buffer.read()
    server.stop()  # type: ignore[attr-defined]
    time.sleep(_LAST_WORK_SEC)
    os._exit(1)
