"""How much memory there is, how much a song needs, and how many songs go into a budget."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from schemas.plan import AnalysisPlan
from tasks.common import models
from tasks.common.resources import available_cores

GIB: Final = 1 << 30

#: What a process holds with the packaged models loaded, and what a song adds at its peak. Measured: songs of 30, 88, 180 and 1740 s alone
#: peak at 1.5, 1.7, 1.8 and 3.2 GiB; the process holds 1.15 GiB between songs.
_BASE_BYTES: Final = int(1.2 * GIB)
_SONG_BYTES: Final = int(0.5 * GIB)
_BYTES_A_SECOND: Final = int(1.0 * (1 << 20))
#: A song of unknown length is taken for one of this length.
_UNKNOWN_SEC: Final = 300.0
#: The rest is for other programs, and for what is not foreseen.
_SHARE: Final = 0.7
_MOST_AT_ONCE: Final = 4


def base_bytes(plan: AnalysisPlan) -> int:
    """How much memory a process holds with the models of a plan loaded, between songs."""
    weights = sum(models.get(model.name).size or 0 for _, step in plan if step and step.expected for model in step.expected.models)
    return _BASE_BYTES + weights


def song_bytes(duration_sec: float | None) -> int:
    """How much memory the analysis of a song takes at its peak, beside what the process holds anyway."""
    return _SONG_BYTES + int(_BYTES_A_SECOND * (_UNKNOWN_SEC if duration_sec is None else duration_sec))


def default_budget_bytes() -> int:
    """The share of the memory now free that songs may take."""
    return int(_SHARE * available_bytes())


def default_at_once(budget_bytes: int, base: int, cores: int | None = None) -> int:
    """How many songs at once are worth it on these cores, and go into the budget beside what the process holds anyway."""
    by_memory = (budget_bytes - base) // song_bytes(None)
    return max(1, min((cores or available_cores()), by_memory, _MOST_AT_ONCE))


class MemoryBudget:
    """Which songs may run beside those that do: so many at once, within so many bytes. A song that alone is too large runs alone.

    free: bytes for the songs. Not locked: one thread asks.
    """

    def __init__(self, free: int, at_once: int):
        self.at_once = at_once
        self._free = free
        self._running = 0

    @property
    def has_place(self) -> bool:
        return self._running < self.at_once

    def admits(self, need: int) -> bool:
        return self._running == 0 or (self.has_place and need <= self._free)

    def take(self, need: int) -> None:
        self._running += 1
        self._free -= need

    def give_back(self, need: int) -> None:
        self._running -= 1
        self._free += need


def return_free_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it (glibc does): else a process grows with every song.

    Measured over 16 songs, two at a time: 1.20 GiB at the end with it, 1.60 GiB and growing without.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def available_bytes() -> int:
    """How much memory a new program could take without swapping: the system's word, or the container's limit where it is lower."""
    return min(_free_of_system(), *_free_of_containers(Path("/sys/fs/cgroup")))


def _free_of_system() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:  # no such file on macOS: take half for free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 4 * GIB


def _free_of_containers(root: Path) -> Iterable[int]:
    """What the limits of control groups leave, both versions. None is said: no limit."""
    yield 1 << 62
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            yield max(0, int((root / limit).read_text()) - int((root / used).read_text()) + _reclaimable((root / limit).parent))
        except (OSError, ValueError):  # not in a container, or "max"
            continue


def _reclaimable(folder: Path) -> int:
    """The page cache of files that nobody looks at: it counts as used, and is given up when memory runs short."""
    lines = (folder / "memory.stat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(("inactive_file", "total_inactive_file"))), 0)
