"""Prefect's server at rest: what it does by the clock, done as seldom as nobody notices.

Prefect's defaults suit a server that many workers ask all the time: it looks into its queue of background tasks several times a second,
also where nobody is there. What a person waits for does not depend on it: a background task that is due now wakes its worker by itself.
What the server does by the clock in its database has settings: see `flows.embedded_api`.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from contextlib import suppress
from typing import Any, Final

import uvicorn

#: A new task ends the wait for one. [250 ms]
_QUEUE: Final = datetime.timedelta(seconds=30)
#: How late a task may start that was put off, such as the server's services. [250 ms]
_DUE: Final = datetime.timedelta(seconds=1)
#: Prefect's server cancels none of its tasks. [100 ms]
_CANCELLED_SEC: Final = 5.0


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
    """Let this process, which is Prefect's server, wait for its background tasks instead of asking for them."""
    from burner_redis.pubsub import PubSub
    from docket import Worker
    from prefect.server.api import background_workers

    background_workers.Worker = functools.partial(Worker, minimum_check_interval=_QUEUE, scheduling_resolution=_DUE)
    asked_at_once = PubSub.get_message

    async def get_message(self: Any, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Any:
        message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        if message is None and timeout != 0.0:
            await asyncio.sleep(_CANCELLED_SEC)
            message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        return message

    PubSub.get_message = get_message
