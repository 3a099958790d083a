"""The process that serves Prefect's API: `python -m deployments.server.api_process SOCKET PORT lasting|private`.

It inherits the socket; the port is for whoever reads a list of processes. It ends when its standard input closes. A private one, which a
single command has, does without the UI and the services that work by the clock.
"""

from __future__ import annotations

import functools
import gc
import itertools
import os
import socket
import sys
import threading
import time
from typing import Any, Final

from deployments.server.busy_database import App, waiting_for_database

#: What the command line says of the server.
LASTING: Final = "lasting"
PRIVATE: Final = "private"

#: A migration of the database that is under way when the parent ends is finished first.
_LAST_WORK_SEC: Final = 120.0
_FULL_COLLECTION_SEC: Final = 20
#: Objects made and not freed since the last collection.
_LITTLE_GARBAGE: Final = 500


def api(private: bool = False) -> App:
    """Prefect's API behind a door, which waits where SQLite is busy with another writer."""
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS

    from deployments.server.door import Door, guarded, name_of
    from tasks.common.settings import get_settings

    door = Door(
        hosts=frozenset(name_of(host) for host in get_settings().allowed_hosts),
        origins=frozenset(origin.strip() for origin in PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")),
    )
    return telling_why(guarded(waiting_for_database(create_app(ephemeral=private, final=private)), door))


def telling_why(app: App) -> App:
    """The app, which says on standard error why it does not start: Prefect's own settings of the logs, once read, keep uvicorn quiet."""

    async def told(scope: Any, receive: Any, send: Any) -> None:
        async def tell(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed":
                print(message.get("message", ""), file=sys.stderr, flush=True)
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return told


def serve(listener: int, private: bool) -> None:
    """Serve Prefect's API on a socket, given by its number, until standard input closes."""
    _collect_garbage_apart()  # before the imports: to look for garbage took a seventh of their time
    import uvicorn

    from deployments.server.idle_server import PACE, QuietServer
    from tasks.common.orchestration.prefect_private import poll_less

    poll_less(PACE)
    config = uvicorn.Config(functools.partial(api, private), factory=True, log_level="error", timeout_graceful_shutdown=2)
    server = QuietServer(config)

    def stop_with_parent() -> None:
        sys.stdin.buffer.read()
        server.stop()
        time.sleep(_LAST_WORK_SEC)
        os._exit(1)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    try:
        server.run(sockets=[socket.socket(fileno=listener)])
    except SystemExit:  # it did not start; an end in order would be a fatal error of Python, for a thread reads standard input
        os._exit(1)
    gc.freeze()  # no collection at the end: it took a second, and the system takes all memory at once


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
    serve(int(sys.argv[1]), private=sys.argv[3] == PRIVATE)
