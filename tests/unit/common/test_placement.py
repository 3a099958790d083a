"""Where engines work: devices, their slots, and what is done when memory runs out."""

from __future__ import annotations

import gc
import itertools
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from prefect import flow

from schemas.plan import EngineChoice, StepPlan
from tasks.common import placement
from tasks.common.errors import OutOfMemory, SlotNotAskedFor
from tasks.common.orchestration.step_task import step
from tasks.common.placement import Engine, Placement, is_out_of_memory, limits_of, placements
from tasks.common.resources import CPU_HEAVY, GPU, MEMORY_HEAVY
from tasks.common.settings import reset_settings
from tasks.common.step import StepContext, run_chain

EVERYWHERE = ("cuda", "mps", "cpu")


def plan(*engines: str) -> StepPlan:
    return StepPlan(step="structure", chain=tuple(EngineChoice(engine=name) for name in engines))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """device(name): what the settings name."""

    def choose(name: str) -> None:
        monkeypatch.setenv("PERFORMIA_DEVICE", name)
        reset_settings()

    return choose


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """machine(gpu): one with a GPU of this kind, or with none, and with nothing in the settings."""

    def pretend(gpu: str) -> None:
        monkeypatch.setattr(placement, "may_have_gpu", lambda: gpu != "cpu")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu == "cuda")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: gpu == "mps")

    return pretend


# --- devices ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpu", "kinds", "expected"),
    [
        ("cuda", EVERYWHERE, "cuda"),
        ("cuda", ("mps", "cpu"), "cpu"),
        ("mps", EVERYWHERE, "mps"),
        ("mps", ("cuda", "cpu"), "cpu"),
        ("cuda", ("cpu",), "cpu"),
        ("cpu", EVERYWHERE, "cpu"),
    ],
)
def test_the_best_device_is_one_that_is_there_and_can_be_used(
    machine: Callable[[str], None], gpu: str, kinds: tuple[str, ...], expected: str
) -> None:
    machine(gpu)
    assert placement.best_device(kinds) == expected


@pytest.mark.parametrize(
    ("chosen", "kinds", "expected"),
    [("cuda:1", EVERYWHERE, "cuda:1"), ("cuda:1", ("mps", "cpu"), "cpu"), ("mps", ("cuda", "cpu"), "cpu"), ("cpu", EVERYWHERE, "cpu")],
)
def test_what_the_settings_name_is_taken_where_the_engine_can_use_it(
    device: Callable[[str], None], chosen: str, kinds: tuple[str, ...], expected: str
) -> None:
    device(chosen)
    assert placement.best_device(kinds) == expected


def test_torch_is_not_imported_for_what_cannot_be_a_gpu(machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    machine("cpu")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would fail
    assert placement.best_device() == "cpu"


@pytest.mark.parametrize(("chosen", "gpu", "cuda"), [("cuda:1", True, True), ("mps", True, False), ("cpu", False, False)])
def test_the_settings_say_whether_there_may_be_a_gpu(device: Callable[[str], None], chosen: str, gpu: bool, cuda: bool) -> None:
    device(chosen)
    assert (placement.may_have_gpu(), placement.may_have_cuda()) == (gpu, cuda)


@pytest.mark.parametrize(
    ("driver", "gpu", "cuda"),
    [
        ("/proc/driver/nvidia/version", True, True),
        ("/usr/lib/wsl/lib/libcuda.so.1", True, True),
        ("/dev/kfd", True, False),
        ("/dev/null", False, False),
    ],
)
def test_a_driver_tells_that_there_may_be_a_gpu(monkeypatch: pytest.MonkeyPatch, driver: str, gpu: bool, cuda: bool) -> None:
    monkeypatch.setattr(placement.os.path, "exists", lambda path: path == driver)
    monkeypatch.setattr(placement.platform, "machine", lambda: "x86_64")
    assert (placement.may_have_gpu(), placement.may_have_cuda()) == (gpu, cuda)


def test_autocast_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "cpu_has_bfloat16", lambda: True)
    assert placement.autocast_dtype("cpu") is torch.bfloat16
    monkeypatch.setattr(placement, "cpu_has_bfloat16", lambda: False)
    assert placement.autocast_dtype("cpu") is None
    assert placement.autocast_dtype("mps") is None


# --- slots -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", ["cuda", "cpu"])
def test_a_step_whose_task_does_not_ask_for_a_gpu_has_no_engine_that_uses_one(
    ctx: StepContext, device: Callable[[str], None], chosen: str
) -> None:
    device(chosen)
    ctx.may_use = {CPU_HEAVY}
    engines = {"net": Engine(lambda *_: pytest.fail("it ran"), devices=("cuda", "cpu")), "plain": Engine(lambda *_: 1)}
    with pytest.raises(SlotNotAskedFor, match="structure"):
        run_chain(plan("plain"), ctx, engines)
    ctx.may_use = {CPU_HEAVY, GPU}
    assert run_chain(plan("plain"), ctx, engines)[0] == 1


ON_GPU, ON_CUDA, ON_CPU = Engine(lambda *_: 1, devices=EVERYWHERE), Engine(lambda *_: 1, devices=("cuda", "cpu")), Engine(lambda *_: 1)


@pytest.mark.parametrize(
    ("chosen", "engines", "expected"),
    [
        ("cpu", None, (CPU_HEAVY, MEMORY_HEAVY)),
        ("cuda", None, (GPU, MEMORY_HEAVY)),
        ("mps", None, (GPU, MEMORY_HEAVY)),
        ("cpu", [ON_GPU], (CPU_HEAVY, MEMORY_HEAVY)),
        ("cuda", [ON_CPU, ON_GPU], (GPU, MEMORY_HEAVY)),
        ("cuda", [ON_CPU], (CPU_HEAVY, MEMORY_HEAVY)),
        ("mps", [ON_CUDA], (CPU_HEAVY, MEMORY_HEAVY)),
        ("cuda", [], (CPU_HEAVY, MEMORY_HEAVY)),
    ],
)
def test_the_slot_of_a_gpu_is_taken_where_an_engine_of_the_plan_would_work_on_one(
    device: Callable[[str], None], chosen: str, engines: list[Engine[..., Any]] | None, expected: tuple[str, ...]
) -> None:
    device(chosen)
    assert limits_of([GPU, CPU_HEAVY, MEMORY_HEAVY, "a person's own tag"], engines) == expected
    assert limits_of([], engines) == ()


def test_a_step_may_use_what_its_task_asks_for(prefect_api: None) -> None:
    found: list[Any] = []

    @step("structure", version=None, needs=[CPU_HEAVY])
    def look(ctx: StepContext) -> None:
        found.append(ctx.may_use)

    @flow(persist_result=False)
    def analyse() -> None:
        look.submit().result()

    analyse()
    assert found == [{CPU_HEAVY}]


# --- out of memory ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("of what"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), True),
        (ValueError("shape mismatch"), False),
    ],
)
def test_out_of_memory_is_recognised_by_kind_and_by_text(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_cause_of_an_error_counts() -> None:
    error = ValueError("wrapped")
    error.__cause__ = MemoryError()
    assert is_out_of_memory(error)
    error.__cause__ = error
    assert not is_out_of_memory(error)


def test_an_engine_is_tried_in_every_size_on_each_device(device: Callable[[str], None]) -> None:
    device("cuda:1")
    both = Engine(lambda *_: 1, devices=EVERYWHERE, sizes=(1.0, 0.5))
    assert placements(both) == [Placement("cuda:1"), Placement("cuda:1", 0.5), Placement("cpu"), Placement("cpu", 0.5)]
    assert placements(Engine(lambda *_: 1, devices=("cuda",))) == [Placement("cuda:1")]
    assert placements(Engine(lambda *_: 1)) == [Placement("cpu")]
    device("cpu")
    assert placements(both) == [Placement("cpu"), Placement("cpu", 0.5)]


class Hungry:
    """An engine for which memory suffices from the try of this number on. still_held: at each try, how many of those before it still
    hold what they took.
    """

    def __init__(self, suffices: int, error: Callable[[], Exception] = lambda: torch.OutOfMemoryError("CUDA out of memory")) -> None:
        self.suffices = suffices
        self.error = error
        self.tried: list[str] = []
        self.held: list[weakref.ref[Any]] = []
        self.still_held: list[int] = []

    def __call__(self, choice: EngineChoice, at: Placement) -> str:
        self.tried.append(str(at))
        self.still_held.append(sum(ref() is not None for ref in self.held))
        buffers = torch.zeros(10)
        circle: list[Any] = [buffers]
        circle.append(circle)  # as parts of a network that know each other
        self.held.append(weakref.ref(buffers))
        if len(self.tried) < self.suffices:
            raise self.error()
        return choice.engine


LADDER = ["cuda", "cuda in pieces of 50% of the usual length", "cpu", "cpu in pieces of 50% of the usual length"]


@pytest.mark.parametrize("suffices", [1, 2, 3, 4])
def test_smaller_on_the_gpu_then_the_cpu_and_the_report_names_where_it_was_done(
    ctx: StepContext, device: Callable[[str], None], suffices: int
) -> None:
    device("cuda")
    hungry = Hungry(suffices)
    answer, report = run_chain(plan("net"), ctx, {"net": Engine(hungry, devices=("cuda", "cpu"), sizes=(1.0, 0.5))})
    assert (answer, report.status) == ("net", "ok")
    assert hungry.tried == LADDER[:suffices]
    assert report.device == ("cuda" if suffices < 3 else "cpu")
    told = [f"net ran out of memory on {at}; tried again on {then}" for at, then in itertools.pairwise(LADDER[:suffices])]
    assert list(report.warnings) == told


def test_then_the_next_engine_takes_over_on_the_best_device_it_can_use(ctx: StepContext, device: Callable[[str], None]) -> None:
    device("cuda")
    never, other = Hungry(99), Hungry(1)
    engines = {"net": Engine(never, devices=("cuda", "cpu"), sizes=(1.0, 0.5)), "other": Engine(other, devices=("cuda", "cpu"))}
    answer, report = run_chain(plan("net", "other"), ctx, engines)
    assert (answer, report.engine, report.status, report.device) == ("other", "other", "degraded", "cuda")
    assert never.tried == LADDER
    assert report.degraded_because == ("net: OutOfMemoryError: CUDA out of memory",)


def test_when_no_engine_has_enough_memory_the_step_says_so(ctx: StepContext, device: Callable[[str], None]) -> None:
    device("cuda")
    with pytest.raises(OutOfMemory, match="plain: MemoryError"):
        run_chain(plan("net", "plain"), ctx, {"net": Engine(Hungry(99), devices=("cuda", "cpu")), "plain": Engine(Hungry(99, MemoryError))})


def test_another_error_is_not_tried_again(ctx: StepContext, device: Callable[[str], None]) -> None:
    device("cuda")
    wrong, plain = Hungry(99, lambda: ValueError("shapes do not match")), Hungry(1)
    engines = {"net": Engine(wrong, devices=("cuda", "cpu"), sizes=(1.0, 0.5)), "plain": Engine(plain)}
    assert run_chain(plan("net", "plain"), ctx, engines)[1].device == "cpu"
    assert (wrong.tried, plain.tried) == (["cuda"], ["cpu"])


@pytest.mark.parametrize("wrapped", [False, True])
def test_memory_is_free_again_before_the_next_try_and_the_next_engine(
    ctx: StepContext, device: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    device("cuda")
    emptied: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # Outside of any handler, or the interpreter itself would keep the error and what its frames hold.
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(sys.exception()))
    never = Hungry(99)

    def inside(choice: EngineChoice, at: Placement) -> str:
        try:
            return never(choice, at)
        except torch.OutOfMemoryError as error:
            raise RuntimeError("The song was not heard") from error

    gc.disable()
    try:
        engines = {
            "net": Engine(inside if wrapped else never, devices=("cuda", "cpu"), sizes=(1.0, 0.5)),
            "other": Engine(lambda *_: sum(ref() is not None for ref in never.held)),
        }
        assert run_chain(plan("net", "other"), ctx, engines)[0] == 0
    finally:
        gc.enable()
    assert never.still_held == [0, 0, 0, 0]
    assert emptied == [None] * 4
