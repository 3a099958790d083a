"""Many songs at once: how many, in which order, and what happens to one that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flows.folder_analysis.song_pool import in_parallel
from tasks.common.memory import MemoryBudget


def run(items: list[int], work: Callable[[int], int], budget: MemoryBudget, need: Callable[[int], int] = lambda _: 1) -> list[int]:
    return list(in_parallel(items, work, need, budget, tick=lambda: None))


def test_every_item_is_worked_on_once() -> None:
    assert sorted(run([1, 2, 3, 4, 5], lambda item: item * item, MemoryBudget(10, 2))) == [1, 4, 9, 16, 25]
    assert run([], lambda item: item, MemoryBudget(10, 2)) == []


def test_so_many_run_at_a_time_as_are_asked_for_and_no_more() -> None:
    together, most, guard = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=30)

    def work(item: int) -> int:
        nonlocal together, most
        with guard:
            together += 1
            most = max(most, together)
        both.wait()  # nobody goes on alone
        with guard:
            together -= 1
        return item

    run([1, 2, 3, 4], work, MemoryBudget(10, 2))
    assert most == 2


def test_one_that_needs_more_than_there_is_runs_alone() -> None:
    running: list[int] = []
    seen: list[list[int]] = []

    def work(item: int) -> int:
        running.append(item)
        seen.append(list(running))
        running.remove(item)
        return item

    run([1, 100, 2], work, MemoryBudget(10, 3), need=lambda item: item)
    assert [100] in seen


def test_an_error_of_the_work_is_raised() -> None:
    def work(item: int) -> int:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 1"):
        run([1], work, MemoryBudget(10, 1))
