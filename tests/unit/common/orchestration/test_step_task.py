"""A step as a task of Prefect: what its body gets, when it starts, what it holds, and when it is ended."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Completed

from flows.song_analysis import STEP_TASKS
from schemas.plan import EngineChoice, StepPlan
from schemas.steps import STEPS, Step, runs_alone, with_inputs
from tasks.common.errors import AudioError, StepTimedOut
from tasks.common.orchestration import running, time_limit
from tasks.common.orchestration.step_task import optional, step
from tasks.common.placement import Engine
from tasks.common.resources import CPU_HEAVY, GPU, RESOURCE_TAGS
from tasks.common.settings import reset_settings
from tasks.common.step import StepContext
from tasks.packager import package_song


@step("ingest", version=None)
def find(ctx: StepContext, what: Any) -> Any:
    """Find something."""
    if isinstance(what, BaseException) or what is None:
        raise AudioError("broken")
    return {"found": Completed(data=3) if what == "a state" else what}


@step("ingest", version=None)
def use(ctx: StepContext, first: Any, second: Any = None) -> Any:
    return first, second


@step("package", version=None, gets_errors=True)
def last(ctx: StepContext, ingest: Any, asr: Any = None) -> Any:
    return ingest, asr


def test_prefect_sees_the_body_without_its_context() -> None:
    assert list(inspect.signature(find.fn).parameters) == ["what"]
    assert (find.name, find.description) == ("ingest", "Find something.")


def test_a_notebook_calls_the_body() -> None:
    assert use.body(None, 1, 2) == (1, 2)


def test_a_step_gets_a_result_as_it_is_without_its_being_looked_through(prefect_api: None) -> None:
    """Prefect would replace a state inside a result by what the state carries."""
    kinds: list[type] = []

    @flow(persist_result=False)
    def look() -> None:
        found = find.submit("a state")
        for first in (use.submit(found, optional(found)).result()[0], last.join({"ingest": found}, asr=2)[0]):
            kinds.append(type(first["found"]))

    look()
    assert kinds == [State, State]


def test_a_step_that_can_do_without_an_input_runs_without_it_and_one_that_cannot_does_not_run(prefect_api: None) -> None:
    seen: dict[str, Any] = {}

    @flow(persist_result=False)
    def fail() -> str:
        failed = find.submit(None)
        refused = use.submit(failed)
        seen["submitted"], _ = use.submit(optional(failed)).result()
        seen["joined"], seen["second"] = last.join({"ingest": failed, "asr": refused})
        seen["refused"] = refused.state.name
        return "ended"

    assert fail() == "ended"
    assert seen["submitted"] is None
    assert isinstance(seen["joined"], AudioError)
    assert not isinstance(seen["second"], list | tuple)
    assert seen["refused"] == "NotReady"


def test_the_page_of_a_run_shows_what_a_joining_step_waited_for(prefect_api: None) -> None:
    runs: dict[str, Any] = {}

    @step("package", version=None)
    def joining(ctx: StepContext, ingest: Any, asr: Any) -> None:
        context = TaskRunContext.get()
        assert context is not None
        runs["inputs"] = {str(one.id) for inputs in context.task_run.task_inputs.values() for one in inputs if one.input_type == "task_run"}

    @flow(persist_result=False)
    def look() -> None:
        first, second = find.submit(1), find.submit(2)
        runs["of"] = {str(first.task_run_id), str(second.task_run_id)}
        joining.join({"ingest": first, "asr": second})

    look()
    assert runs["inputs"] == runs["of"]


def test_a_step_holds_the_slots_it_says_and_prefect_asks_for_none(prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[str, ...]] = []

    @contextmanager
    def slots(names: tuple[str, ...], waiting: Any) -> Iterator[None]:
        held.append(tuple(names))
        yield

    monkeypatch.setattr(running, "slots", slots)

    @step("ingest", version=None, needs=[CPU_HEAVY])
    def heavy(ctx: StepContext) -> None: ...

    @flow(persist_result=False)
    def run() -> None:
        heavy.submit().result()

    run()
    assert held == [(CPU_HEAVY,)]
    assert not heavy.tags


@pytest.mark.parametrize(("engine", "slot"), [("network", GPU), ("plain", CPU_HEAVY)])
def test_a_step_that_its_plan_leaves_on_the_cpu_holds_no_slot_of_a_gpu(engine: str, slot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[str, ...]] = []

    @contextmanager
    def slots(names: tuple[str, ...], waiting: Any) -> Iterator[None]:
        held.append(tuple(names))
        yield

    monkeypatch.setattr(running, "slots", slots)
    monkeypatch.setattr(running.TaskRunContext, "get", lambda: "a run")
    monkeypatch.setenv("PERFORMIA_DEVICE", "cuda")
    reset_settings()
    engines = {"network": Engine(lambda *_: 1, devices=("cuda", "cpu")), "plain": Engine(lambda *_: 2)}

    @step("structure", version=None, needs=[GPU, CPU_HEAVY], engines=engines)
    def look(ctx: StepContext, plan: StepPlan, other: Any) -> None: ...

    look.fn(StepPlan(step="structure", chain=(EngineChoice(engine=engine),)), "an input")
    assert held == [(slot,)]


def test_every_step_with_engines_says_which() -> None:
    assert {name for name, task in STEP_TASKS.items() if task.engines} == {*Step, "align"}


# --- time limits -------------------------------------------------------------------------------------------------------------------------


def test_a_step_past_its_limit_ends_when_it_next_tells_of_its_progress(prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(time_limit.TimeLimit, "check", _waiting_for(over, time_limit.TimeLimit.check))
    monkeypatch.setattr(time_limit.TimeLimit, "is_over", _then(time_limit.TimeLimit.is_over, over.set))

    @step("ingest", version=None, time_limit_sec=0.01)
    def slow(ctx: StepContext) -> str:
        ctx.progress(0.5, "half")
        return "too late"

    @flow(persist_result=False)
    def run() -> Any:
        return slow.submit().result(raise_on_failure=False)

    assert str(run()).startswith("STEP_TIMED_OUT: ingest took longer than 0.01 s")


def _waiting_for(event: threading.Event, check: Any) -> Any:
    def waiting(self: Any) -> None:
        assert event.wait(30)
        check(self)

    return waiting


def _then(first: Any, second: Any) -> Any:
    def both(self: Any) -> None:
        first(self)
        second()

    return both


def test_what_is_done_in_time_is_left_alone() -> None:
    with time_limit.time_limit("chords", 60, "") as limit:
        assert limit is not None
        limit.check()


def test_a_step_that_hangs_takes_the_process_of_its_run_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    told: list[Any] = []
    monkeypatch.setattr(time_limit, "end_run", lambda client, run, state: told.append((str(run), state.type.value, state.message)))
    monkeypatch.setattr(time_limit, "get_client", lambda sync_client: _Client())
    monkeypatch.setattr(time_limit, "_end_process", gone.set)
    run = "5e1ab1e5-0000-4000-8000-000000000000"
    with time_limit.time_limit("asr", 0.05, run, grace_sec=0.05):
        assert gone.wait(30)
    assert told == [(run, "FAILED", str(StepTimedOut("asr took longer than 0.05 s")))]


class _Client:
    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None: ...


# --- the table of steps ------------------------------------------------------------------------------------------------------------------


def test_the_table_names_the_steps_that_there_are() -> None:
    assert [*STEP_TASKS, "package"] == list(STEPS)
    assert {name: task.name for name, task in STEP_TASKS.items()} == {name: name for name in STEP_TASKS}
    assert package_song.name == "package"
    assert set(Step) == set(STEP_TASKS) - {"ingest", "align"}
    assert sum(facts.share for facts in STEPS.values()) == pytest.approx(1.0)


def test_every_step_asks_for_resources_that_there_are() -> None:
    assert {need for task in STEP_TASKS.values() for need in task.needs} <= set(RESOURCE_TAGS)
    assert all(task.time_limit_sec for task in STEP_TASKS.values())


def test_an_order_of_the_table_is_one_in_which_the_steps_can_run() -> None:
    seen: set[str] = set()
    for name, facts in STEPS.items():
        assert set(facts.reads) <= seen
        seen.add(name)


def test_what_a_step_reads_is_what_it_is_given_and_what_comes_before_it() -> None:
    assert with_inputs(["chords"]) == ("ingest", "chords")
    assert with_inputs(["beats_key"]) == ("ingest", "chords", "beats_key")
    assert with_inputs(["melody"]) == ("ingest", "separation", "melody")
    assert [name for name in STEPS if runs_alone(name)] == ["ingest", "package"]
