"""What Python itself costs a command of a few seconds: its garbage collector goes through hundreds of thousands of objects that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_to_stay() -> Iterator[None]:
    """Import large packages without the collector, which from then on leaves alone what they have made.

    Prefect alone: 1.7 s instead of 2.2.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def end_soon() -> None:
    """Let the interpreter's end, which is near, not collect garbage: the system takes all memory at once. A second of Prefect's server.

    Everything else that ends in order does: threads, exit handlers, buffers.
    """
    gc.freeze()
