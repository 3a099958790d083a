"""What Python itself costs a command of a few seconds."""

from __future__ import annotations

import gc


def end_soon() -> None:
    """Let the interpreter's end, which is near, not collect garbage: the system takes all memory at once. A second of Prefect's server.

    Everything else that ends in order does: threads, exit handlers, buffers.
    """
    gc.freeze()
