"""What steps get as inputs, and how a run says that it lives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Completed

from flows.run import hooks as life
from tasks.common.errors import AudioError
from tasks.common.orchestration.running import even_if_failed, given, join, submit


@task(persist_result=False)
def find(what: Any) -> Any:
    if isinstance(what, Exception):
        raise what
    return {"found": Completed(data=3) if what == "a state" else what}


@task(persist_result=False)
def use(first: Any, second: Any = None) -> Any:
    return first, second


def test_a_step_gets_a_result_as_it_is_without_its_being_looked_through(prefect_api: None) -> None:
    """Prefect would replace a state inside a result by what the state carries."""
    kinds: list[type] = []

    @flow(persist_result=False)
    def look() -> None:
        found = submit(find, "a state")
        for first in (submit(use, found, even_if_failed(found)).result()[0], join(use, {"first": found}, second=2)[0]):
            kinds.append(type(first["found"]))

    look()
    assert kinds == [State, State]


def test_a_step_that_can_do_without_an_input_gets_the_error_and_one_that_cannot_does_not_run(prefect_api: None) -> None:
    error = AudioError("broken")
    seen: dict[str, Any] = {}

    @flow(persist_result=False)
    def fail() -> str:
        failed = submit(find, error)
        refused = submit(use, failed)
        seen["submitted"], _ = submit(use, even_if_failed(failed)).result()
        seen["joined"], seen["second"] = join(use, {"first": failed, "second": refused})
        seen["refused"] = refused.state.name
        return "ended"

    assert fail() == "ended"
    assert isinstance(seen["submitted"], AudioError)
    assert isinstance(seen["joined"], AudioError)
    assert given(seen["submitted"]) is None
    assert not isinstance(seen["second"], list | tuple)
    assert given(seen["second"]) is None
    assert seen["refused"] == "NotReady"


def test_the_page_of_a_run_shows_what_a_joining_step_waited_for(prefect_api: None) -> None:
    runs: dict[str, Any] = {}

    @flow(persist_result=False)
    def look() -> None:
        first, second = submit(find, 1), submit(find, 2)
        runs["of"] = {str(first.task_run_id), str(second.task_run_id)}

        @task(persist_result=False)
        def last(first: Any, second: Any) -> None:
            context = TaskRunContext.get()
            assert context is not None
            runs["inputs"] = {
                str(one.id) for inputs in context.task_run.task_inputs.values() for one in inputs if one.input_type == "task_run"
            }

        join(last, {"first": first, "second": second})

    look()
    assert runs["inputs"] == runs["of"]


@pytest.mark.parametrize("watched", [True, False])
def test_a_song_shows_its_progress_where_somebody_can_look(watched: bool, prefect_api: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(life, "is_watched", lambda: watched)
    monkeypatch.setattr(life.LiveProgress, "start", lambda self: shown.append("start"))
    monkeypatch.setattr(life.LiveProgress, "stop", lambda self: shown.append("stop"))

    @flow(name="analyze-song", **life.LIFE)
    def run() -> None:
        shown.append("run")

    run()
    assert shown == (["start", "run", "stop"] if watched else ["run"])
    assert not life._live_progress


_SIDE_BY_SIDE = """
import sys
from tasks.common.orchestration.running import running
for step in ("ingest", "separation"):
    with running(step):
        pass
alone = "torch" in sys.modules
with running("melody"):
    print(alone, hasattr(sys.modules.get("torch"), "Tensor"))
"""


def test_torch_is_imported_whole_before_steps_compute_side_by_side() -> None:
    """SciPy fails in one thread while another imports torch."""
    done = subprocess.run([sys.executable, "-c", _SIDE_BY_SIDE], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "False True\n", done.stderr
