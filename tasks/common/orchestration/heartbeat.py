"""Tells the server every half minute that a run lives. `performia setup` makes an automation that ends runs which no longer say so.

Prefect can do it by itself, but reports every three minutes where nobody says otherwise, which is too seldom for that automation, and its
thread, which sleeps second by second, holds up the end of every run for half a second.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import Final

from prefect.events import emit_event

logger = logging.getLogger(__name__)

HEARTBEAT_SEC: Final = 30
#: What Prefect calls its own.
EVENT: Final = "prefect.flow-run.heartbeat"


class Heartbeat:
    """Reports one run from a thread of its own; `start` and `stop`."""

    def __init__(self, run: str, name: str, every_sec: float = HEARTBEAT_SEC):
        self._resource = {"prefect.resource.id": f"prefect.flow-run.{run}", "prefect.resource.name": name}
        self._every_sec = every_sec
        self._done = threading.Event()
        # The thread must know the API of the run.
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._report,), name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join(1)

    def _report(self) -> None:
        while True:
            try:
                emit_event(EVENT, self._resource)
            except Exception:
                logger.debug("could not report that the run lives", exc_info=True)
            if self._done.wait(self._every_sec):
                return
