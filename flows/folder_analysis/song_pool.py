"""Many songs at once in one process: a thread a song, as many as go into the memory budget.

The threads are daemons: native code cannot be interrupted, and whoever stops a batch does not want to wait for the song to end.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tasks.common.memory import MemoryBudget

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_TICK_SEC = 1.0


def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Answer], need: Callable[[Item], int], budget: MemoryBudget, tick: Callable[[], None]
) -> Iterator[Answer]:
    """Call `work` with each item, in their order, several at a time; yield the answers as they come.

    need: bytes that the work on an item takes. Those behind an item that does not fit yet wait with it.
    tick: called about once a second.
    An error of `work` is raised here; what is under way then goes on unheard.
    """
    ended: queue.SimpleQueue[tuple[int, Answer | None, BaseException | None]] = queue.SimpleQueue()

    def run(item: Item, bytes_needed: int) -> None:
        try:
            ended.put((bytes_needed, work(item), None))
        except BaseException as error:  # noqa: BLE001 (raised again where the answers are read)
            ended.put((bytes_needed, None, error))

    waiting = iter(items)
    running = 0
    following = next(waiting, None)
    while following is not None or running:
        while following is not None and budget.has_place and budget.admits(bytes_needed := need(following)):
            budget.take(bytes_needed)
            running += 1
            # Prefect knows by the context which run it is in.
            context = contextvars.copy_context()
            threading.Thread(target=context.run, args=(run, following, bytes_needed), name=f"song-{running}", daemon=True).start()
            following = next(waiting, None)
        try:
            bytes_needed, answer, error = ended.get(timeout=_TICK_SEC)
        except queue.Empty:
            tick()
            continue
        budget.give_back(bytes_needed)
        running -= 1
        if error is not None:
            raise error
        yield answer  # type: ignore[misc]
