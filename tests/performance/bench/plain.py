"""The steps of one song as plain functions, one after the other: what the analysis itself costs. The graph is that of `analyze_song`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from schemas.options import AnalysisOptions
from schemas.steps import FINDING, StepName
from tasks.common.step import StepContext


class Call(Protocol):
    """How a step's function is called with its inputs: for example with a clock in the hand."""

    def __call__(self, step: StepName, function: Callable[..., Any], *inputs: Any) -> Any: ...


def call_steps(
    song: Path,
    options: AnalysisOptions,
    ctx: StepContext,
    call: Call,
    only: Collection[str] = FINDING,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[StepName, Any]:
    """The results of the steps by name, in the order they ran.

    only: these steps, and ingest where it is not given. given: results by step that the other steps are told instead of what the step found
    this time, or would have found (a separation with random weights gives noise). Raises what the steps raise.
    """
    from flows.song_analysis import STEP_TASKS, start_steps
    from tasks.common.planning import make_plan
    from tasks.ingest.checks import file_identity

    results: dict[StepName, Any] = {}

    class Plain:
        """Calls a step's function at once."""

        def __init__(self, name: StepName):
            self.name = name

        def submit(self, *inputs: Any) -> Any:
            if self.name in only or (self.name == "ingest" and self.name not in given):
                results[self.name] = call(self.name, STEP_TASKS[self.name].body, ctx, *inputs)
            return given[self.name] if self.name in given else results.get(self.name)

    start_steps({name: Plain(name) for name in STEP_TASKS}, make_plan(options), song, file_identity(song))
    return results
