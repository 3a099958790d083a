"""Where an engine works: the one owner of the device, of what is done when memory runs out, and of the slot that stands for a device.

An engine is declared with what it can use, next to its place in the step's chain, and is told where to work; it chooses nothing itself:

    ENGINES = {"htdemucs": Engine(by_demucs, devices=("cuda", "mps", "cpu"), sizes=(1.0, 0.5)), "dsp": Engine(by_dsp)}

It works on the best of its devices that is there. When memory runs out it works in smaller pieces there, where it can; then on the CPU;
then the next engine of the chain takes over (`tasks.common.step.run_chain`). The report names the device that did the work.
"""

from __future__ import annotations

import gc
import itertools
import os
import platform
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from schemas.plan import EngineChoice
from tasks.common.errors import SlotNotAskedFor
from tasks.common.memory import return_free_memory
from tasks.common.resources import CPU_HEAVY, GPU, RESOURCE_TAGS, cpu_has_bfloat16
from tasks.common.settings import get_settings

if TYPE_CHECKING:
    import torch

P = ParamSpec("P")
T = TypeVar("T")

#: What torch runs on, best first. PERFORMIA_DEVICE may name one of several GPUs: cuda:1.
DEVICES: Final = ("cuda", "mps", "cpu")
#: A driver of NVIDIA's, on Linux itself and in a Linux on Windows; AMD's, whose GPUs torch calls cuda too.
_NVIDIA: Final = ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1")
_AMD: Final = "/dev/kfd"


@dataclass(frozen=True)
class Placement:
    """Where an engine works, and in pieces of what size.

    device: as torch names it: cpu, cuda, cuda:N, mps.
    size: length of the pieces (segments, windows, blocks) as a share of the engine's usual one.
    """

    device: str = "cpu"
    size: float = 1.0

    def __str__(self) -> str:
        return self.device if self.size == 1.0 else f"{self.device} in pieces of {self.size:.0%} of the usual length"


@dataclass(frozen=True)
class Engine(Generic[P, T]):
    """One engine of a step.

    run: the engine's answer, from the choice of its models, where to work, and whatever the step gives its engines.
    devices: kinds of device that it can use. sizes: shares of its usual pieces that it can work in, largest first.
    """

    run: Callable[Concatenate[EngineChoice, Placement, P], T]
    devices: tuple[str, ...] = ("cpu",)
    sizes: tuple[float, ...] = (1.0,)

    @property
    def uses_gpu(self) -> bool:
        return any(device != "cpu" for device in self.devices)


# --- devices and their slots -----------------------------------------------------------------------------------------------------------


def best_device(kinds: Collection[str] = DEVICES) -> str:
    """The best device of these kinds: what the settings name, else cuda, else mps, else cpu.

    torch is imported only where there may be a GPU.
    """
    chosen = get_settings().device
    if chosen:
        return chosen if chosen.partition(":")[0] in kinds else "cpu"
    if set(kinds) <= {"cpu"} or not may_have_gpu():
        return "cpu"
    import torch

    if "cuda" in kinds and torch.cuda.is_available():
        return "cuda"
    if "mps" in kinds and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def may_have_gpu() -> bool:
    """Whether a step may run on a GPU here, without importing torch. Where it may not, no engine is offered one."""
    chosen = get_settings().device
    if chosen:
        return chosen.partition(":")[0] in DEVICES[:-1]
    return may_have_cuda() or os.path.exists(_AMD) or (sys.platform == "darwin" and platform.machine() == "arm64")


def may_have_cuda() -> bool:
    """Whether an NVIDIA GPU may be there, without importing torch: the driver is loaded, or the settings say so."""
    chosen = get_settings().device
    if chosen:
        return chosen.partition(":")[0] == "cuda"
    return any(map(os.path.exists, _NVIDIA)) or os.name == "nt"


def limits_of(tags: Collection[str], engines: Iterable[Engine[..., Any]] | None = None) -> tuple[str, ...]:
    """The limits that a task with these tags takes a slot of here: of the GPU's where one of the engines would work on one, else the CPU's.

    engines: those of the step's plan. None: whichever; then a GPU that may be there counts.
    """
    needed = set(tags) & set(RESOURCE_TAGS)
    if GPU in needed:
        on_gpu = may_have_gpu() if engines is None else any(best_device(engine.devices) != "cpu" for engine in engines)
        needed.discard(CPU_HEAVY if on_gpu else GPU)
    return tuple(sorted(needed))


def check_slots(step: str, engines: Iterable[Engine[..., Any]], may_use: Collection[str]) -> None:
    """Raise SlotNotAskedFor where one of a step's engines can use a GPU and its task does not ask for the slot of one.

    That is so on every machine, with a GPU or without: the mistake shows where the step is first run.
    """
    if GPU not in may_use and any(engine.uses_gpu for engine in engines):
        raise SlotNotAskedFor(f"An engine of {step} can use a GPU, and the step's task does not ask for the slot of one")


def autocast_dtype(device: str) -> torch.dtype | None:
    """The lower precision to run networks in on this device, or None for float32 throughout."""
    import torch

    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return None


# --- where an engine works -------------------------------------------------------------------------------------------------------------


def placements(engine: Engine[..., Any]) -> list[Placement]:
    """Where an engine is tried, in this order: in all sizes on the best device it can use, then on the CPU."""
    devices = dict.fromkeys((best_device(engine.devices), *(("cpu",) if "cpu" in engine.devices else ())))
    return [Placement(device, size) for device in devices for size in engine.sizes]


def run_placed(
    engine: Engine[P, T], choice: EngineChoice, warn: Callable[[str], None], *inputs: P.args, **options: P.kwargs
) -> tuple[T, Placement]:
    """An engine's answer, and where it was found. Every retreat is told. Raises what the engine raised last; only a lack of memory is
    tried again.
    """
    places = placements(engine)
    for at, following in itertools.pairwise(places):
        failure: BaseException
        try:
            return engine.run(choice, at, *inputs, **options), at
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = error
        # Outside the handler: until it ends, the interpreter keeps the error, and with it what has to be freed.
        warn(f"{choice.engine} ran out of memory on {at}; tried again on {following}")
        free_memory_of(failure)
    return engine.run(choice, places[-1], *inputs, **options), places[-1]


# --- memory ----------------------------------------------------------------------------------------------------------------------------


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that memory ran out: on the GPU, in torch's CPU allocator, in numpy, or in the system."""
    return any(_says_out_of_memory(one) for one in _with_causes(error))


def _says_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def free_memory_of(failure: BaseException) -> None:
    """Free what failed code held, and what torch keeps of it for later. Its error stays, and still says where it was raised."""
    for error in _with_causes(failure):
        traceback.clear_frames(error.__traceback__)
    gc.collect()
    if may_have_gpu():
        _empty_gpu_caches()
    return_free_memory()


def _empty_gpu_caches() -> None:
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
