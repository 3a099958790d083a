"""What the separation does when memory runs out: smaller pieces, then the CPU, and then it leaves the song to the next engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tasks.common.resources import is_out_of_memory

#: A network has too little to look at in a segment shorter than this.
SHORTEST_SEGMENT_SEC: Final = 2.0


@dataclass(frozen=True)
class Attempt:
    """One rung: where to run, and how long the segments are."""

    device: str
    segment_sec: float

    def __str__(self) -> str:
        return f"{self.device} with segments of {self.segment_sec:.3g} s"


def ladder(device: str, segment_sec: float) -> list[Attempt]:
    """The device with the segments asked for, then with half of them; then the same on the CPU."""
    half = max(segment_sec / 2, min(SHORTEST_SEGMENT_SEC, segment_sec))
    attempts = [Attempt(where, length) for where in (device, "cpu") for length in (segment_sec, half)]
    return list(dict.fromkeys(attempts))


def climb_down(attempts: list[Attempt], run: Callable[[Attempt], None], warn: Callable[[str], None]) -> Attempt:
    """Run the attempts until one does not run out of memory, and return it. Raises what the last one raised."""
    *others, last = attempts
    for attempt, following in zip(others, attempts[1:], strict=True):
        try:
            run(attempt)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            warn(f"Separation ran out of memory on {attempt}; tried again on {following}")
        else:
            return attempt
        # Outside the handler: the traceback would keep what has to be freed.
        _free_memory()
    run(last)
    return last


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
