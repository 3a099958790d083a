"""A step as a task of Prefect: what its decorator says is what happens.

    @step("asr", version=1, needs=(GPU, CPU_HEAVY), retries=2, retry_delay_sec=[5, 30], time_limit_sec=4 * 3600)
    def transcribe_lyrics(ctx: StepContext, plan: StepPlan, source: SongSource, stems: StemSet | None) -> Lyrics:
        return engine.transcribe_lyrics(source, stems, plan, ctx)

In a flow, `transcribe_lyrics.submit(plan, source, optional(stems))` starts it as soon as its inputs are there. A notebook or a benchmark
calls `transcribe_lyrics.body(ctx, plan, source, stems)`, which is the function as it is written.

needs: the scarce resources whose slots it holds while it works (`tasks.common.orchestration.slots`); of a GPU and the CPU that which the
engines of its plan work on. They are no tags of Prefect's: it asks the server for a slot of every tag before it looks into the cache, where
nothing is needed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from schemas.plan import StepPlan
from schemas.steps import StepName
from tasks.common.errors import PerformiaError
from tasks.common.orchestration.caching import RecordStorage, StepCache
from tasks.common.orchestration.prefect_private import AllowFailure, Whole, travelling, with_unsaved_storage
from tasks.common.orchestration.running import announce, running
from tasks.common.placement import Engine
from tasks.common.settings import get_settings


class StepTask(Task[..., Any]):
    """Made by `@step`. body: the decorated function, whose first argument is the step's context; `fn`, which Prefect runs, lacks it."""

    def __init__(
        self,
        body: Callable[..., Any],
        name: StepName,
        version: int | None,
        needs: Sequence[str],
        time_limit_sec: float | None,
        here: bool,
        gets_errors: bool,
        engines: Mapping[str, Engine[..., Any]] | None,
        **options: Any,
    ):
        self.body = body
        self.code_version = version
        self.needs = frozenset(needs)
        self.time_limit_sec = time_limit_sec
        self.here = here
        self.gets_errors = gets_errors
        self.engines = engines
        super().__init__(
            self._shell(name),
            name=name,
            cache_policy=NO_CACHE if version is None else StepCache(step=name, version=version),
            persist_result=version is not None,
            result_serializer="json",
            on_completion=[announce],
            on_failure=[announce],
            **options,
        )

    def _shell(self, name: StepName) -> Callable[..., Any]:
        """What Prefect runs: the body in the step's context."""

        @functools.wraps(self.body)
        def shell(*inputs: Any, **named: Any) -> Any:
            with running(name, self.needs, self.time_limit_sec, self._planned((*inputs, *named.values()))) as ctx:
                return self.body(ctx, *map(self._told, inputs), **{key: self._told(value) for key, value in named.items()})

        whole = inspect.signature(self.body)
        _, *parameters = whole.parameters.values()
        shell.__signature__ = whole.replace(parameters=parameters)  # type: ignore[attr-defined]
        return shell

    def _planned(self, inputs: Iterable[Any]) -> list[Engine[..., Any]] | None:
        """The engines of the plan among these inputs; None for a step without any."""
        if self.engines is None:
            return None
        return [self.engines[choice.engine] for plan in inputs if isinstance(plan, StepPlan) for choice in plan.chain]

    def _told(self, value: Any) -> Any:
        """An input as the body gets it: None where the step that makes it failed."""
        return None if isinstance(value, BaseException) and not self.gets_errors else value

    def submit(self, *inputs: Any, **_: Any) -> Any:  # type: ignore[override]
        """Start the step as soon as its inputs are there, and return its future; its state where it had to run in this process."""
        context = FlowRunContext.get()
        if context is None:  # Prefect is drawing the graph: it records calls, not submissions, and runs neither
            return self(*inputs)
        bound = self._with_storage()
        if self.here and not _in_this_process(context):
            return bound(*inputs, return_state=True)  # its inputs are values
        inputs = tuple(_whole(value) for value in inputs)
        if _in_this_process(context):
            return Task.submit(bound, *inputs)
        with travelling(context):
            return Task.submit(bound, *inputs)

    def join(self, found: Mapping[StepName, Any], **inputs: Any) -> Any:
        """Run the step in this process once all the others have ended, and return what it returns. It gets the error of one that failed.

        found: {step: future}. Prefect gets the results as they are: it would look through all of them for more futures.
        """
        if FlowRunContext.get() is None:
            return self(**inputs, **{str(name): future for name, future in found.items()})
        results = {str(name): quote(result_or_error(future)) for name, future in found.items()}
        return self(**results, **inputs, wait_for=[optional(future) for future in found.values()])

    def _with_storage(self) -> StepTask:
        """The task with its results in Performia's own cache."""
        if self.code_version is None:
            return self
        return with_unsaved_storage(self, RecordStorage(url=get_settings().results_url))


def step(
    name: StepName,
    *,
    version: int | None,
    needs: Sequence[str] = (),
    retries: int = 0,
    retry_delay_sec: float | list[float] = 0,
    time_limit_sec: float | None = None,
    here: bool = False,
    gets_errors: bool = False,
    engines: Mapping[str, Engine[..., Any]] | None = None,
) -> Callable[[Callable[..., Any]], StepTask]:
    """The decorator of a step's task.

    version: raised whenever the step's code would give another result for the same inputs; None: nothing of it is cached. needs: see the
    module. retries: how often it is tried again where a failure may pass (`is_transient`). time_limit_sec: see `running`. here: it reads or
    writes files of this machine, and runs in the flow's process also where the other steps run on a cluster. gets_errors: in place of the
    result of a step that failed, it gets the error. engines: all that its plans may name, where there is a choice.
    """
    return lambda body: StepTask(
        body,
        name,
        version,
        needs,
        time_limit_sec,
        here,
        gets_errors,
        engines,
        retries=retries,
        retry_delay_seconds=retry_delay_sec,
        retry_condition_fn=is_transient,
    )


def is_transient(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 (Prefect's signature)
    """Retry condition: whether the failure may pass on a second try. Memory, disk and network may; bad input and bugs do not."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, PerformiaError):
        return error.transient
    return isinstance(error, MemoryError | OSError)


def optional(future: Any) -> Any:
    """An input that a step can do without: it gets None where the step that makes it failed."""
    # While Prefect draws the graph there are no futures, and the annotation would hide the edge.
    return AllowFailure(future) if isinstance(future, PrefectFuture | State) else future


def result_or_error(ended: Any) -> Any:
    """The result of a submitted step, or the error it ended with, once it has; what is no future is itself."""
    if not isinstance(ended, PrefectFuture | State):
        return ended
    if isinstance(ended, PrefectFuture):
        ended.wait()
    state = ended if isinstance(ended, State) else ended.state
    # Where what a step needs has failed it never ran: it is pending still, and has no result, but says why.
    return state.result(raise_on_failure=False) if state.is_final() else state.data


def _in_this_process(context: FlowRunContext) -> bool:
    return isinstance(context.task_runner, ThreadPoolTaskRunner)


def _whole(value: Any) -> Any:
    """An input that Prefect waits for, and does not look through for more futures: a song's results hold ten thousands of values."""
    return Whole(value) if isinstance(value, PrefectFuture | State) else value
