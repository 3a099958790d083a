"""Prefect's server at rest: what it does by the clock, done as seldom as nobody notices.

Prefect's defaults suit a server that many workers ask all the time: it looks into its queue of background tasks several times a second,
also where nobody is there. What a person waits for does not depend on it: a background task that is due now wakes its worker by itself.
What the server does by the clock in its database has settings: see `deployments.server.embedded_api`.
"""

from __future__ import annotations

import asyncio
import datetime
from contextlib import suppress
from typing import Any, Final

import uvicorn

#: How long the worker of background tasks waits for a new one, which ends the wait. [250 ms]
_QUEUE: Final = datetime.timedelta(seconds=30)
#: How late a task may start that was put off, such as the server's services. [250 ms]
_DUE: Final = datetime.timedelta(seconds=2)
#: How often the worker tells other servers that it lives; here are none. [2 s]
_HEARTBEAT: Final = datetime.timedelta(seconds=30)
#: How often it looks for tasks to be cancelled; Prefect's server cancels none. [100 ms]
_CANCELLED_SEC: Final = 5.0
#: How often automations are read anew, which every change does too, and counts of past events are swept. [5 s]
_AUTOMATIONS: Final = datetime.timedelta(seconds=30)


class QuietServer(uvicorn.Server):
    """Wakes once a second, not ten times, and stops at once nevertheless."""

    def stop(self) -> None:
        """From any thread."""
        self.should_exit = True
        if self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    _stopping: asyncio.Event | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        while not await self.on_tick(0):  # uvicorn counts tenths of a second, and does at each tenth what it does every second
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1.0)


def poll_less() -> None:
    """Let this process, which is Prefect's server, wait for its background tasks instead of asking for them.

    None of this has a setting. Each name that is replaced is held by `tests/unit/deployments/server/test_idle_server.py`.
    """
    from burner_redis.pubsub import PubSub
    from docket import Docket, Worker
    from prefect.server.api import background_workers
    from prefect.server.events import triggers

    class PatientWorker(Worker):
        def __init__(self, docket: Docket) -> None:
            docket.heartbeat_interval = _HEARTBEAT
            super().__init__(docket, minimum_check_interval=_QUEUE, scheduling_resolution=_DUE)

    asked_at_once, evaluate = PubSub.get_message, triggers.evaluate_periodically

    async def get_message(self: Any, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Any:
        message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        if message is None and timeout != 0.0:
            await asyncio.sleep(_CANCELLED_SEC)
            message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        return message

    async def evaluate_seldom(granularity: datetime.timedelta) -> None:
        await evaluate(max(granularity, _AUTOMATIONS))

    replaced: list[tuple[Any, str, Any]] = [
        (background_workers, "Worker", PatientWorker),
        (PubSub, "get_message", get_message),
        (triggers, "evaluate_periodically", evaluate_seldom),
    ]
    for owner, name, ours in replaced:
        setattr(owner, name, ours)
