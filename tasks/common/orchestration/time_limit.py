"""How a step that works for longer than it may is ended.

Steps are threads, which nothing can stop from outside while they are in native code. So a step past its limit is told first: it ends with
StepTimedOut as soon as it is back in Python, and the song goes on without it. One that is not back within a while hangs; where its process
is there for its run alone, as a served run's is, the run is ended at the server as failed, and the process with it. In a person's own
process nothing more can be done than to say so.
"""

from __future__ import annotations

import contextvars
import ctypes
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

#: How long a step that was told may take to end.
GRACE_SEC: Final = 60.0

_end_process: Callable[[], None] | None = None


def end_hanging_runs_with(end_process: Callable[[], None]) -> None:
    """Say that this process is there for one run alone, and how it is ended."""
    global _end_process
    _end_process = end_process


@contextmanager
def time_limit(step: str, limit_sec: float | None, run: str, grace_sec: float = GRACE_SEC) -> Iterator[None]:
    """End what the block does after so many seconds; None: it has all the time there is. Raises StepTimedOut."""
    if limit_sec is None:
        yield
        return
    problem = StepTimedOut(f"{step} took longer than {limit_sec:g} s")
    watchdog = _Watchdog(problem, limit_sec, grace_sec, run)
    watchdog.start()
    try:
        yield
    except StepTimedOut:
        raise problem from None
    finally:
        watchdog.stop()


class _Watchdog:
    """Watches the thread that makes it."""

    def __init__(self, problem: StepTimedOut, limit_sec: float, grace_sec: float, run: str):
        self._problem, self._limit_sec, self._grace_sec, self._run = problem, limit_sec, grace_sec, run
        self._watched = threading.get_ident()
        self._done = threading.Event()
        self._telling = threading.Lock()
        # The thread must know the API of the run.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._watch,), name="time-limit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        # Under the lock: what is not told by now is not told any more, when the thread does something else.
        with self._telling:
            self._done.set()

    def _watch(self) -> None:
        if self._done.wait(self._limit_sec):
            return
        with self._telling:
            if self._done.is_set():
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._watched), ctypes.py_object(StepTimedOut))
        if self._done.wait(self._grace_sec):
            return
        logger.error("%s", self._problem)
        if _end_process is not None:
            with suppress(Exception), get_client(sync_client=True) as client:  # whatever the server says, the process ends
                end_run(client, UUID(self._run), Failed(message=str(self._problem)))
            _end_process()
