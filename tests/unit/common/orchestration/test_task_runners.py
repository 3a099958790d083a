"""Which task runner a run gets, and what its workers are told."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from prefect import allow_failure, flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.common.errors import TaskRunnerUnavailable
from tasks.common.orchestration.prefect_private import AllowFailure
from tasks.common.orchestration.task_runners import ChosenTaskRunner, make_task_runner, worker_environment
from tasks.common.settings import Settings, reset_settings

SOMEWHERE = {PREFECT_API_URL: "http://127.0.0.1:1/api"}


def test_threads_unless_told_otherwise() -> None:
    assert isinstance(ChosenTaskRunner().duplicate(), ThreadPoolTaskRunner)


def test_the_choice_is_made_when_a_run_starts_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = ChosenTaskRunner()
    monkeypatch.setenv("PERFORMIA_TASK_RUNNER", "dask")
    reset_settings()
    assert not isinstance(runner.duplicate(), ThreadPoolTaskRunner)


@pytest.mark.parametrize(("name", "module"), [("dask", "prefect_dask"), ("dask", "distributed"), ("ray", "prefect_ray"), ("ray", "ray")])
def test_a_package_that_is_missing_is_named(name: Any, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with temporary_settings(SOMEWHERE), pytest.raises(TaskRunnerUnavailable, match=rf"pip install 'performia\[{name}\]'"):
        make_task_runner(Settings(task_runner=name, task_runner_address="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_workers_need_a_server_that_they_can_reach(name: Any) -> None:
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(TaskRunnerUnavailable, match="PREFECT_API_URL"):
        make_task_runner(Settings(task_runner=name))


def test_a_dask_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect_dask", reason="pip install 'performia[dask]'")
    monkeypatch.setattr("tasks.common.orchestration.task_runners._CONNECT_SEC", 0.2)
    with temporary_settings(SOMEWHERE), pytest.raises(TaskRunnerUnavailable, match=r"tcp://127\.0\.0\.1:1 "):
        make_task_runner(Settings(task_runner="dask", task_runner_address="tcp://127.0.0.1:1"))


@pytest.mark.usefixtures("prefect_api")
def test_a_run_without_its_task_runner_fails_with_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.separation import separate_stems

    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    monkeypatch.setenv("PERFORMIA_TASK_RUNNER", "dask")
    reset_settings()

    @flow(task_runner=ChosenTaskRunner())
    def one_step() -> Any:
        return separate_stems.submit(None, None)

    state = one_step(return_state=True)
    assert state.is_failed()
    with pytest.raises(TaskRunnerUnavailable, match="dask"):
        state.result()


def test_workers_use_the_stores_of_the_run_and_their_own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = worker_environment(Settings(data_dir=Path("data"), task_runner="ray", offline=True, models_dir=Path("models"), device="cuda"))
    assert told == {
        "PERFORMIA_TASK_RUNNER": "threads",
        "PERFORMIA_ARTIFACT_STORE": str(tmp_path / "data" / "artifacts"),
        "PERFORMIA_RESULTS_STORE": str(tmp_path / "data" / "cache" / "results"),
        "PERFORMIA_OFFLINE": "1",
    }
    told = worker_environment(Settings(artifact_store="s3://bucket/here", store_secret="the-block"))
    assert told["PERFORMIA_ARTIFACT_STORE"] == "s3://bucket/here"
    assert told["PERFORMIA_RESULTS_STORE"] == "s3://bucket/here/results"
    assert told["PERFORMIA_STORE_SECRET"] == "the-block"
    assert "the-secret" not in str(told)


@pytest.mark.parametrize("pickled", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_an_input_that_may_fail_is_the_same_after_the_way_to_a_worker(pickled: Any) -> None:
    """Prefect's own comes back wrapped twice."""
    arrived = pickled.loads(pickled.dumps(AllowFailure("a result")))
    assert isinstance(arrived, allow_failure)
    assert arrived.unwrap() == "a result"
