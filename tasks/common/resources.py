"""What this machine offers to a step, and the tags that name what a step needs. `tasks.common.placement` says what runs on which device."""

from __future__ import annotations

import functools
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final

from tasks.common.settings import get_settings

#: Tags of the tasks, and names of the limits that `performia setup` makes; see `tasks.common.orchestration.slots`.
GPU: Final = "gpu"
CPU_HEAVY: Final = "cpu-heavy"
MEMORY_HEAVY: Final = "memory-heavy"
NETWORK: Final = "network"
RESOURCE_TAGS: Final = (GPU, CPU_HEAVY, MEMORY_HEAVY, NETWORK)


def import_torch() -> None:
    """Import torch, whole, before anything computes beside it in another thread.

    SciPy asks of what it is given whether it is torch's. While a thread is half-way through importing torch, every other one that calls
    SciPy fails: "partially initialized module 'torch' has no attribute 'Tensor'" (`is_torch_array` of array-api-compat).
    """
    with suppress(ImportError):
        import torch  # noqa: F401


def available_cores() -> int:
    """How many cores this process may use (affinity, not the machine's count)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def threads() -> int:
    """How many threads a heavy step takes."""
    return get_settings().threads or available_cores()


@functools.lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware (avx512_bf16 or AMX), so that autocast is faster and not slower."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def hardware() -> dict[str, str | int]:
    """What a measurement was made on, for its record."""
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"cpu": model, "cores": available_cores(), "python": platform.python_version(), "system": platform.system()}
