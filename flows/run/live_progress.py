"""The progress of a run at the server: an artifact for the UI, moved while the steps work, and the history that the HTTP API reads.

Best effort, from a thread of its own: it delays nothing.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from types import TracebackType
from typing import Any, Final
from uuid import UUID

from flows.run.progress_log import ProgressLog
from schemas.steps import STEPS
from tasks.common.progress import StepEvent, listening

logger = logging.getLogger(__name__)

_LEAST_PAUSE_SEC: Final = 2.0
_LEAST_STEP: Final = 1.0
#: What happens is at the server within this, and one more write. A client of the HTTP API is to see it within a second.
_LOG_PAUSE_SEC: Final = 0.4


class LiveProgress:
    """Listens to the steps of one run, moves its artifact and writes its history; `start` and `stop`. attempt: see `progress_log`."""

    def __init__(self, run: str, name: str, attempt: int = 1):
        self._run = run
        self._name = name
        self._fractions: dict[str, float] = {}
        self._log = ProgressLog(run, attempt)
        self._done = threading.Event()
        self._listening = listening(self._on_event)
        # The thread must know the API of the run.
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._report,), name="live-progress", daemon=True)

    def start(self) -> None:
        self._listening.__enter__()
        self._thread.start()

    def stop(self) -> None:
        """Write the last state, but do not wait long for it."""
        self._listening.__exit__(None, None, None)
        self._done.set()
        self._log.changed.set()
        self._thread.join(5)

    def __enter__(self) -> LiveProgress:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def percent(self) -> float:
        """How much of the run is done, from 0 to 100."""
        fractions = dict(self._fractions)
        return 100.0 * sum(facts.share * fractions.get(step, 0.0) for step, facts in STEPS.items())

    def _on_event(self, event: StepEvent) -> None:
        if event.run == self._run:
            ended = event.kind in ("finished", "failed")
            self._fractions[event.step] = 1.0 if ended else event.fraction or 0.0
            self._log.add(event)

    def _report(self) -> None:
        from prefect.client.orchestration import get_client

        try:
            with get_client(sync_client=True) as client:
                shown, moved = self.percent(), time.monotonic()
                self._write_log(client)
                artifact = self._create(client, shown)
                while not self._done.is_set():
                    self._log.changed.wait(_LEAST_PAUSE_SEC)
                    self._write_log(client)
                    if self.percent() - shown >= _LEAST_STEP and time.monotonic() - moved >= _LEAST_PAUSE_SEC:
                        shown, moved = self.percent(), time.monotonic()
                        self._move(client, artifact, shown)
                    self._done.wait(_LOG_PAUSE_SEC)
                self._write_log(client, closed=True)
                if self.percent() > shown:
                    self._move(client, artifact, self.percent())
        except Exception:
            logger.debug("the run's progress cannot be shown", exc_info=True)

    def _write_log(self, client: Any, closed: bool = False) -> None:
        """What the server does not take now, it is given the next time."""
        try:
            self._log.write(client, closed)
        except Exception:
            self._log.changed.set()
            logger.debug("the run's history cannot be written now", exc_info=True)

    def _create(self, client: Any, percent: float) -> UUID:
        from prefect.client.schemas.actions import ArtifactCreate

        made: UUID = client.create_artifact(
            ArtifactCreate(
                key=f"progress-{self._run}",
                type="progress",
                description=f"Progress of {self._name}",
                data=percent,
                flow_run_id=UUID(self._run),
            )
        ).id
        return made

    def _move(self, client: Any, artifact: UUID, percent: float) -> None:
        from prefect.client.schemas.actions import ArtifactUpdate

        client.update_artifact(artifact, ArtifactUpdate(data=round(percent, 1)))
