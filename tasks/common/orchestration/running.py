"""What a task shell needs around its one pure function: the step's context, progress, and the rules of retrying and of absent inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from prefect import Task, allow_failure
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque, quote

from schemas.results import StepName
from tasks.common.errors import PerformiaError
from tasks.common.orchestration.caching import cached, resource_tags
from tasks.common.orchestration.slots import slots
from tasks.common.progress import StepEvent, publish, reporter
from tasks.common.resources import import_torch, limits_of
from tasks.common.settings import get_settings
from tasks.common.step import StepContext
from tasks.common.storage.artifacts import ArtifactStore

T = TypeVar("T")

#: Steps of a song that no other runs beside. Separation imports torch itself; were it in the cache, the others would do so side by side.
_ALONE = ("ingest", "separation", "package")


def current_flow_run() -> str:
    """Id of the flow run this code runs in; empty outside one."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""


@contextmanager
def running(step: StepName) -> Iterator[StepContext]:
    """The context of one execution of a step, whose progress goes to whoever listens. It holds the slots that the task's tags ask for."""
    run = current_flow_run()
    settings = get_settings()
    task = TaskRunContext.get()
    progress = reporter(run, step)
    limits = limits_of(resource_tags(task.task)) if task is not None else ()
    publish(StepEvent(run, step, "started"))
    with slots(limits, waiting=lambda: progress(0.0, f"waiting for a slot ({', '.join(limits)})")):
        if step not in _ALONE:
            import_torch()
        yield StepContext(
            store=ArtifactStore(settings.artifacts_url, settings.scratch_dir), settings=settings, progress=progress, flow_run=run
        )


def announce(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> None:
    """Task hook: publish that a step ended, and whether it came from the cache."""
    step = getattr(task.cache_policy, "step", "") or task.name
    run = str(task_run.flow_run_id)
    if state.is_completed():
        publish(StepEvent(run, step, "finished", 1.0, "cached" if state.name == "Cached" else ""))
    else:
        publish(StepEvent(run, step, "failed", message=state.message or ""))


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 (Prefect's signature)
    """Retry condition: whether the failure may pass on a second try. Memory, disk and network may; bad input and bugs do not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, PerformiaError):
        return error.transient
    return isinstance(error, MemoryError | OSError)


def given(value: T | BaseException | None) -> T | None:
    """An optional input of a step: None where the step that makes it failed or did not run."""
    return None if value is None or isinstance(value, BaseException) else value


def submit(task: Task[..., Any], *inputs: Any) -> Any:
    """Start a step as soon as its inputs are there, and return its future. Its result goes to Performia's cache."""
    context = FlowRunContext.get()
    if context is None:  # Prefect is drawing the graph: it records calls, not submissions, and runs neither
        return task(*inputs)
    inputs = tuple(_whole(value) for value in inputs)
    if _in_this_process(context):
        return cached(task).submit(*inputs)
    with _travelling(context):
        return cached(task).submit(*inputs)


def submit_here(task: Task[..., Any], *inputs: Any) -> Any:
    """The same for a step that reads a file of this machine: it runs in this process, and a cluster's workers get what it found."""
    context = FlowRunContext.get()
    if context is None or _in_this_process(context):
        return submit(task, *inputs)
    return cached(task)(*inputs, return_state=True)  # its inputs are values


def join(task: Task[..., Any], outcomes: Mapping[str, Any], **inputs: Any) -> Any:
    """Run a step in this process once all that it joins have ended, and return what it returns. It gets a failed one's error.

    outcomes: {name of the input: future}. Prefect gets them resolved: with `even_if_failed` it would look through all that the steps found.
    """
    if FlowRunContext.get() is None:
        return task(**outcomes, **inputs)
    found = {name: quote(_outcome(future)) for name, future in outcomes.items()}
    return task(**found, **inputs, wait_for=[_AllowFailure(future) for future in outcomes.values()])


def _outcome(future: Any) -> Any:
    if isinstance(future, PrefectFuture):
        future.wait()
    state = future if isinstance(future, State) else future.state
    # Where what a step needs has failed it never ran: it is pending still, and has no result, but says why.
    return state.result(raise_on_failure=False) if state.is_final() else state.data


def _in_this_process(context: FlowRunContext) -> bool:
    return isinstance(context.task_runner, ThreadPoolTaskRunner)


@contextmanager
def _travelling(context: FlowRunContext) -> Iterator[None]:
    """The context of a run as its steps' workers get it: without what only this process uses, and what cannot be pickled.

    That is the flow's hooks, and the task, if any, that the run is part of (a batch's).
    """
    bare = copy.copy(context.flow)
    for name in [name for name in vars(bare) if name.startswith("on_") and name.endswith("_hooks")]:
        setattr(bare, name, [])
    outer = TaskRunContext.__var__.set(None)  # type: ignore[arg-type]
    try:
        with context.model_copy(update={"flow": bare}):
            yield
    finally:
        TaskRunContext.__var__.reset(outer)


def even_if_failed(future: Any) -> Any:
    """An input that a step can do without: it gets the error instead. See `given`."""
    # While Prefect draws the graph, there are no futures, and the annotation would hide the edge.
    return _AllowFailure(future) if isinstance(future, PrefectFuture | State) else future


def _whole(value: Any) -> Any:
    """An input that Prefect waits for, and does not look through for more futures: a song's results hold ten thousands of values."""
    return _Whole(value) if isinstance(value, PrefectFuture | State) else value


class _One(NamedTuple):
    """Prefect's own annotations do not survive the way to a worker: unpickled, they wrap their value twice; Dask makes them plain tuples.

    A named tuple is made again from its parts by both.
    """

    value: Any


class _Whole(_One, opaque):  # type: ignore[misc,type-arg]
    pass


class _AllowFailure(_One, allow_failure):  # type: ignore[misc,type-arg]
    pass
