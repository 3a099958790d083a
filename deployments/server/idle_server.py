"""Prefect's server at rest: what it does by the clock, done as seldom as nobody notices.

Prefect's defaults suit a server that many workers ask all the time: it looks into its queue of background tasks several times a second,
also where nobody is there. What a person waits for does not depend on it: a background task that is due now wakes its worker by itself.
What the server does by the clock in its database has settings: see `deployments.server.prefect_environment`.
"""

from __future__ import annotations

import asyncio
import datetime
from contextlib import suppress
from typing import Final

import uvicorn

from tasks.common.orchestration.prefect_private import Pace

#: None of it has a setting. See `Pace`, which says what Prefect does.
PACE: Final = Pace(
    queue=datetime.timedelta(seconds=30),
    due=datetime.timedelta(seconds=2),
    heartbeat=datetime.timedelta(seconds=30),  # to other servers: here are none
    cancelled_sec=5.0,
    automations=datetime.timedelta(seconds=30),
)


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
