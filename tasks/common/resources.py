"""What this machine offers to a step, and the tags that name what a step needs. The one place with the device policy."""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.common.settings import get_settings

if TYPE_CHECKING:
    import torch

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


def best_device() -> str:
    """cuda, else mps, else cpu; or what the settings say."""
    chosen = get_settings().device
    if chosen:
        return chosen
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def may_have_gpu() -> bool:
    """Whether a step may run on a GPU here, without importing torch."""
    chosen = get_settings().device
    return may_have_cuda() or (chosen == "mps" if chosen else sys.platform == "darwin" and platform.machine() == "arm64")


def may_have_cuda() -> bool:
    """Whether an NVIDIA GPU may be there, without importing torch: the driver is loaded, or the settings say so."""
    chosen = get_settings().device
    if chosen:
        return chosen.startswith("cuda")
    return os.path.exists("/proc/driver/nvidia/version") or os.name == "nt"


def limits_of(tags: Collection[str]) -> tuple[str, ...]:
    """The limits that a task with these tags takes a slot of here: one that may use a GPU needs the CPU only where there is none."""
    needed = set(tags) & set(RESOURCE_TAGS)
    if GPU in needed:
        needed.discard(CPU_HEAVY if may_have_gpu() else GPU)
    return tuple(sorted(needed))


@functools.lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware (avx512_bf16 or AMX), so that autocast is faster and not slower."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def autocast_dtype(device: str) -> torch.dtype | None:
    """The lower precision to run networks in on this device, or None for float32 throughout."""
    import torch

    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that memory ran out: on the GPU, in torch's CPU allocator, in numpy, or in the system."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, MemoryError) or type(current).__name__ == "OutOfMemoryError":
            return True
        text = str(current).lower()
        if "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text:
            return True
        current = current.__cause__ or current.__context__
    return False


def hardware() -> dict[str, str | int]:
    """What a measurement was made on, for its record."""
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {"cpu": model, "cores": available_cores(), "python": platform.python_version(), "system": platform.system()}
