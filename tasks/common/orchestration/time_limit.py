"""How a step that works for longer than it may is ended.

Steps are threads, which nothing can stop from outside. So a step past its limit ends with StepTimedOut when it next tells of its progress,
and the song goes on without it. One that does not within a while hangs; where its process is there for its run alone, as a served run's is,
the run is ended at the server as failed, and the process with it. In a person's own process nothing more can be done than to say so.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.states import Failed

from tasks.common.errors import StepTimedOut
from tasks.common.orchestration.liveness import end_run

logger = logging.getLogger(__name__)

#: How long a step past its limit may take to end.
GRACE_SEC: Final = 60.0

_end_process: Callable[[], None] | None = None


def end_hanging_runs_with(end_process: Callable[[], None]) -> None:
    """Say that this process is there for one run alone, and how it is ended."""
    global _end_process
    _end_process = end_process


class TimeLimit:
    """The limit of one execution of a step."""

    def __init__(self, step: str, limit_sec: float):
        self.problem = StepTimedOut(f"{step} took longer than {limit_sec:g} s")
        self._passed = threading.Event()

    def is_over(self) -> None:
        """The time is up."""
        self._passed.set()

    def check(self) -> None:
        """Raise StepTimedOut where the time is up. For whoever works, now and then."""
        if self._passed.is_set():
            raise self.problem


@contextmanager
def time_limit(step: str, limit_sec: float | None, run: str, grace_sec: float = GRACE_SEC) -> Iterator[TimeLimit | None]:
    """The limit of what the block does, which is watched while it does; None: it has all the time there is."""
    if limit_sec is None:
        yield None
        return
    limit, done = TimeLimit(step, limit_sec), threading.Event()

    def watch() -> None:
        if done.wait(limit_sec):
            return
        limit.is_over()
        if not done.wait(grace_sec):
            _end_hanging(limit.problem, run)

    # The thread must know the API of the run.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(watch,), name="time-limit", daemon=True).start()
    try:
        yield limit
    finally:
        done.set()


def _end_hanging(problem: StepTimedOut, run: str) -> None:
    logger.error("%s", problem)
    if _end_process is not None:
        with suppress(Exception), get_client(sync_client=True) as client:  # whatever the server says, the process ends
            end_run(client, UUID(run), Failed(message=str(problem)))
        _end_process()
