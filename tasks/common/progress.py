"""Progress of the steps: engines report fractions, whoever is interested listens.

An engine calls `progress(0.4, "segment 12 of 30")`. It never needs to know who listens: a progress bar, a Prefect artifact, a test, or
nobody. Reporting is best effort: a listener that raises is dropped from that report, and the analysis goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Called by engines with a fraction in [0, 1] and, where it helps, what is being done."""

    def __call__(self, fraction: float, message: str = "") -> None: ...


def silent(fraction: float, message: str = "") -> None:
    """A Progress that nobody listens to."""


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """A Progress that maps [0, 1] to [start, end] of another: for an engine made of several stages."""

    def scaled(fraction: float, message: str = "") -> None:
        progress(start + (end - start) * min(max(fraction, 0.0), 1.0), message)

    return scaled


@dataclass(frozen=True)
class StepEvent:
    """What happened in a step. `fraction` is None for `started`."""

    run: str
    step: str
    kind: Literal["started", "progress", "finished", "failed"]
    fraction: float | None = None
    message: str = ""


Listener = Callable[[StepEvent], None]

_listeners: list[Listener] = []
_lock = threading.Lock()


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener` with every event of this process while the block runs. It is called from worker threads."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def publish(event: StepEvent) -> None:
    with _lock:
        current = tuple(_listeners)
    for listener in current:
        try:
            listener(event)
        except Exception:
            logger.debug("progress listener failed", exc_info=True)


def reporter(run: str, step: str) -> Progress:
    """A Progress that publishes the events of one step of one run. Fractions never go backwards."""
    highest = 0.0

    def report(fraction: float, message: str = "") -> None:
        nonlocal highest
        highest = max(highest, min(max(fraction, 0.0), 1.0))
        publish(StepEvent(run, step, "progress", highest, message))

    return report
