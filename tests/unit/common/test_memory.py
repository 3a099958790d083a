"""How many songs go into the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.common import memory
from tasks.common.memory import GIB, MemoryBudget, default_at_once, song_bytes


def test_songs_are_admitted_until_the_budget_or_the_number_is_reached() -> None:
    budget = MemoryBudget(10, at_once=3)
    for need in (4, 4):
        assert budget.admits(need)
        budget.take(need)
    assert budget.has_place
    assert not budget.admits(4)
    assert budget.admits(2)
    budget.take(2)
    assert not budget.has_place
    assert not budget.admits(0)
    budget.give_back(4)
    assert budget.admits(4)
    assert not budget.admits(5)


def test_a_song_that_is_too_large_runs_alone() -> None:
    budget = MemoryBudget(10, at_once=3)
    assert budget.admits(100)
    budget.take(100)
    assert not budget.admits(0)
    budget.give_back(100)
    budget.take(1)
    assert not budget.admits(100)


def test_a_longer_song_needs_more_and_one_of_unknown_length_is_not_taken_for_a_short_one() -> None:
    assert song_bytes(1800) > song_bytes(180) > song_bytes(1)
    assert song_bytes(None) > song_bytes(180)
    assert song_bytes(1800) < 10 * song_bytes(180)


@pytest.mark.parametrize(("gib", "cores", "wanted"), [(0.5, 8, 1), (2.1, 8, 1), (3.0, 8, 2), (64, 2, 2), (64, 1, 1), (64, 64, 4)])
def test_how_many_songs_at_once_follows_from_memory_and_cores(gib: float, cores: int, wanted: int) -> None:
    assert default_at_once(int(gib * GIB), base=int(1.2 * GIB), cores=cores) == wanted


def test_the_limit_of_a_container_counts_where_it_is_lower(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 100\n")
    assert min(memory._free_of_containers(tmp_path)) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert min(memory._free_of_containers(tmp_path)) > memory.available_bytes() > 0
