"""A job whose process died is taken up again, under the same id and in the same attempt: what was accepted is not lost with a process.

That a run's process is gone is found out by others (`tasks.common.orchestration.liveness`, Prefect's heartbeats). Finished steps come from
the cache. A song that kills its process each time is given up after as many deaths as the folder watch allows.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from deployments.api.desk import Desk
from deployments.api.job_view import job_id
from tasks.common.locks import try_to_hold
from tasks.common.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_SEC: Final = 3.0


class Reviver:
    """Takes dead jobs up; `run` goes on until it is cancelled."""

    def __init__(self, desk: Desk, settings: Settings):
        self._desk = desk
        self._locks = settings.uploads / "keys"

    async def run(self) -> None:
        """Look every few seconds; processes of the API that started together do not look together for long."""
        while True:
            await asyncio.sleep(_LOOK_SEC * random.uniform(0.7, 1.3))
            try:
                await self.look()
            except Exception:
                logger.debug("could not look for jobs whose process died", exc_info=True)

    async def look(self) -> None:
        """Take up what is to be taken up."""
        for run in await self._desk.runs.crashed():
            lock = try_to_hold(self._locks / f"revive-{job_id(run)}.lock")
            if lock is None:  # another process of the API does it
                continue
            try:
                if await self._desk.runs.take_up(run):
                    self._desk.forget(job_id(run))
            finally:
                lock.path.unlink(missing_ok=True)
                lock.release()
