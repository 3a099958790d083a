"""What is around one execution of a step: its context, its slots, its progress, its time limit."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext

from schemas.steps import StepName, runs_alone
from tasks.common.orchestration.slots import slots
from tasks.common.orchestration.time_limit import TimeLimit, time_limit
from tasks.common.placement import Engine, limits_of
from tasks.common.progress import Progress, StepEvent, publish, reporter
from tasks.common.resources import RESOURCE_TAGS, import_torch
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore


def current_flow_run() -> str:
    """Id of the flow run this code runs in; empty outside one."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""


@contextmanager
def running(
    step: StepName, needs: Collection[str] = (), limit_sec: float | None = None, engines: Collection[Engine[..., Any]] | None = None
) -> Iterator[StepContext]:
    """The context of one execution of a step, whose progress goes to whoever listens.

    needs: it holds a slot of each, in a run of Prefect's, and may use what they name. limit_sec: how long it may work, once it has them:
    see `time_limit`. engines: those of its plan, which decide between the slots of a GPU and of the CPU; see `limits_of`.
    """
    run = current_flow_run()
    settings = get_settings()
    progress = reporter(run, step)
    task = TaskRunContext.get()
    publish(StepEvent(run, step, "started"))
    if not runs_alone(step):  # the others import torch, and would do so side by side
        import_torch()
    limits = limits_of(needs, engines) if task is not None else ()
    with (
        slots(limits, waiting=lambda: progress(0.0, f"waiting for a slot ({', '.join(limits)})")),
        time_limit(step, limit_sec, run) as limit,
    ):
        yield StepContext(
            store=ArtifactStore(settings.artifacts_url, settings.scratch_dir),
            settings=settings,
            progress=progress if limit is None else _within(limit, progress),
            flow_run=run,
            may_use=RESOURCE_TAGS if task is None else frozenset(needs),
        )


def _within(limit: TimeLimit, progress: Progress) -> Progress:
    """The progress of a step, by which it also learns that its time is up."""

    def told(fraction: float, message: str = "") -> None:
        limit.check()
        progress(fraction, message)

    return told


def announce(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:
    """Task hook: publish that a step ended, and whether it came from the cache."""
    run = str(task_run.flow_run_id)
    if state.is_completed():
        publish(StepEvent(run, task.name, "finished", 1.0, "cached" if state.name == "Cached" else ""))
    else:
        publish(StepEvent(run, task.name, "failed", message=state.message or ""))
