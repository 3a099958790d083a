"""Whether anybody can look at a run while it goes on: not where its server is private to one command, and ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_unwatched: ContextVar[bool] = ContextVar("unwatched", default=False)


@contextmanager
def unwatched() -> Iterator[None]:
    """Nobody sees the runs that start while the block runs."""
    token = _unwatched.set(True)
    try:
        yield
    finally:
        _unwatched.reset(token)


def is_watched() -> bool:
    return not _unwatched.get()
