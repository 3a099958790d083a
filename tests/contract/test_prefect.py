"""What of Prefect Performia works round, as the installed Prefect does it: one test a use of `prefect_private`.

A test that fails here tells of good news, or of a change: Prefect has mended the defect, and the use can go, or it works in another way,
and the use must follow. What Performia's own code makes of it is tested elsewhere.
"""

from __future__ import annotations

import ast
import contextvars
import datetime
import inspect
import pickle
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import cloudpickle
import httpx
import pytest
import yaml
from prefect import Task, allow_failure, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.context import FlowRunContext, SyncClientContext, TaskRunContext, serialize_context
from prefect.filesystems import LocalFileSystem
from prefect.locking.filesystem import FileSystemLockManager
from prefect.results import ResultStore
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.settings import Settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import opaque

from deployments.definitions import DEFINITIONS
from tasks.common.orchestration import prefect_private
from tasks.common.orchestration.caching import RecordStorage
from tasks.common.orchestration.prefect_private import (
    AllowFailure,
    LateTaskRunner,
    Whole,
    apart,
    is_database_busy,
    take_slots,
    travelling,
    with_unsaved_storage,
    without_preamble,
)
from tasks.common.storage.result_records import _LONG_AGO


@pytest.mark.parametrize("pickled", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
@pytest.mark.parametrize(("theirs", "ours"), [(opaque, Whole), (allow_failure, AllowFailure)])
def test_an_annotation_comes_back_from_a_worker_wrapped_twice(pickled: Any, theirs: Any, ours: Any) -> None:
    def arrived(annotation: Any) -> Any:
        return pickled.loads(pickled.dumps(annotation)).unwrap()

    assert arrived(theirs("a result")) == ("a result",)
    assert arrived(ours("a result")) == "a result"


def test_a_reader_that_allows_failure_runs_with_none_where_the_step_before_never_ran(prefect_api: None) -> None:
    """#22918."""
    seen: list[Any] = []

    @task(cache_policy=NO_CACHE)
    def fail() -> None:
        raise RuntimeError("oops")

    @task(cache_policy=NO_CACHE)
    def between(value: Any) -> Any:
        return value

    @task(cache_policy=NO_CACHE)
    def read(value: Any) -> None:
        seen.append(value)

    @flow(persist_result=False)
    def run() -> str:
        never_ran = between.submit(fail.submit())
        read.submit(allow_failure(never_ran)).wait()
        return str(never_ran.state.name)

    assert run() == "NotReady"
    assert seen == [None]


def test_a_task_refuses_a_storage_that_is_not_saved_when_it_is_made_and_takes_it_later(tmp_path: Path) -> None:
    """#15794."""
    storage = RecordStorage(url=str(tmp_path))
    with pytest.raises(TypeError, match="persisted server-side"):
        Task(fn=lambda: 1, name="a", result_storage=storage)
    bound = with_unsaved_storage(Task(fn=lambda: 1, name="a"), storage)
    assert ResultStore().update_for_task(bound).result_storage == storage


def test_a_record_is_shown_by_a_private_method_of_its_storage(tmp_path: Path) -> None:
    """Hence `UnsavedStorage`."""
    assert LocalFileSystem.__dict__["_resolve_path"]
    shown = ResultStore(result_storage=RecordStorage(url=str(tmp_path))).create_result_record(1, key="a-key").metadata.storage_key
    assert shown == str(tmp_path / "a-key")


def test_an_expired_record_is_not_found_and_can_be_read(tmp_path: Path) -> None:
    """`result_records` marks a record in this way which only the run that wrote it may use."""
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)), cache_result_in_memory=False)
    store.write(1, key="a-key", expiration=_LONG_AGO)  # type: ignore[arg-type]
    assert not store.exists("a-key")
    assert store.read("a-key").result == 1


def test_a_lock_of_prefects_own_outlives_its_holder(tmp_path: Path) -> None:
    """Hence `KernelLockManager`."""
    code = "import sys\nfrom pathlib import Path\nfrom prefect.locking.filesystem import FileSystemLockManager as Manager\n"
    code += "print(Manager(Path(sys.argv[1])).acquire_lock('a-key', 'killed'))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
    assert not FileSystemLockManager(tmp_path).acquire_lock("a-key", "the next", acquire_timeout=0.3)


def _is_portable() -> bool:
    try:
        cloudpickle.dumps(serialize_context())
    except TypeError:
        return False
    return True


def test_hooks_and_an_outer_task_go_to_a_worker_with_each_task(prefect_api: None) -> None:
    guard = threading.Lock()
    portable: dict[str, bool] = {}

    def hook(flow: Any, flow_run: Any, state: Any) -> None:
        assert not guard.locked()

    @flow(persist_result=False, on_running=[hook])
    def hooked() -> None:
        context = FlowRunContext.get()
        assert context is not None
        portable["with hooks"] = _is_portable()
        with travelling(context):
            portable["without"] = _is_portable()

    @task(cache_policy=NO_CACHE, persist_result=False)
    def outer(held: Any) -> None:
        assert TaskRunContext.get() is not None
        bare()
        assert TaskRunContext.get() is not None

    @flow(persist_result=False)
    def bare() -> None:
        context = FlowRunContext.get()
        assert context is not None
        portable["in a task"] = _is_portable()
        with travelling(context):
            portable["out of it"] = _is_portable()

    hooked()
    outer(guard)
    assert portable == {"with hooks": False, "without": True, "in a task": False, "out of it": True}


def test_a_run_shares_its_memory_of_results_with_the_runs_below_it_and_its_connection_with_its_threads(prefect_api: None) -> None:
    found: dict[str, list[Any]] = {"cache": [], "client": []}

    def look() -> None:
        context = FlowRunContext.get()
        assert context is not None
        found["cache"].append(context.result_store.cache)
        with SyncClientContext.get_or_create() as client:
            found["client"].append(client.client)

    @flow(persist_result=False)
    def below() -> None:
        look()

    @flow(persist_result=False)
    def run() -> None:
        context = FlowRunContext.get()
        assert context is not None
        look()
        thread = threading.Thread(target=contextvars.copy_context().run, args=(below,))
        thread.start()
        thread.join()
        with apart(context):
            below()

    run()
    for first, shared, own in found.values():
        assert shared is first
        assert own is not first


def test_a_flows_task_runner_is_made_once_and_each_run_gets_its_duplicate(prefect_api: None) -> None:
    """#15203."""
    asked: list[TaskRunner[Any]] = []

    class Late(LateTaskRunner):
        def chosen(self) -> TaskRunner[Any]:
            asked.append(ThreadPoolTaskRunner())
            return asked[-1]

        def submit(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        map = submit

    @flow(persist_result=False, task_runner=Late())
    def run() -> None:
        context = FlowRunContext.get()
        assert context is not None
        assert context.task_runner is asked[-1]

    assert asked == []
    run()
    run()
    assert len(asked) == 2
    assert isinstance(flow(task_runner=ThreadPoolTaskRunner)(lambda: None).task_runner, ThreadPoolTaskRunner)


@pytest.fixture
def limit(prefect_api: None) -> Iterator[str]:
    name = f"limit-{uuid.uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
        yield name
        client.delete_global_concurrency_limit_by_name(name)


def test_the_server_guesses_how_long_to_wait_for_a_slot_and_a_free_one_can_be_asked_for_at_once(limit: str) -> None:
    """#23183: a guess of two seconds and more, while the slot is free at once."""
    with get_client(sync_client=True) as client:
        lease, found = take_slots(client, [limit, "no-such-limit"], 60)
        assert found == {limit}
        guesses = []
        for _ in range(5):
            with pytest.raises(httpx.HTTPStatusError) as refusal:
                take_slots(client, [limit], 60)
            assert refusal.value.response.status_code == httpx.codes.LOCKED
            guesses.append(float(refusal.value.response.headers["Retry-After"]))
        assert max(guesses) > 1.0
        client.release_concurrency_slots_with_lease(uuid.UUID(lease))
        again, _ = take_slots(client, [limit], 60)
        client.release_concurrency_slots_with_lease(uuid.UUID(again))


_EVENT = """
import sys
from prefect.events import emit_event
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=0)
emit_event("an-event", resource={"prefect.resource.id": "a"})
"""


def test_a_process_complains_of_events_that_it_could_not_send_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """#9148. Hence `drain_queues`, while the server is there."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    done = subprocess.run([sys.executable, "-c", _EVENT], capture_output=True, text=True, check=True, timeout=60)
    assert "EventsWorker" in done.stderr


def test_the_queues_of_events_and_logs_have_no_public_flush() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for queue in (EventsWorker, APILogWorker):
        assert queue.drain_all.__func__.__module__.startswith("prefect._internal.")  # type: ignore[attr-defined]
        assert not hasattr(queue, "flush")


def test_how_much_a_console_says_is_no_setting_that_a_run_could_change() -> None:
    """Hence `quiet_console`."""
    import prefect.logging
    import prefect.settings
    from prefect.logging.handlers import PrefectConsoleHandler

    assert not hasattr(prefect.settings, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL")  # read from the environment when the log is set up
    config = yaml.safe_load((Path(prefect.logging.__file__).parent / "logging.yml").read_text(encoding="utf-8"))
    assert config["handlers"]["console"]["class"] == f"{PrefectConsoleHandler.__module__}.{PrefectConsoleHandler.__name__}"
    assert config["root"]["handlers"] == ["console"]


def test_the_parts_of_the_runner_have_loggers_of_these_names_and_no_setting() -> None:
    """Hence `quiet_runner`."""
    from prefect.runner import _control_channel, _flow_run_executor

    sources = {"flow_run_executor": _flow_run_executor, "control_channel": _control_channel}
    for name, module in sources.items():
        assert f'get_logger("runner.{name}")' in inspect.getsource(module)
        assert f"prefect.runner.{name}" in prefect_private._RUNNER_LOGGERS
    assert [name for name in type(Settings().runner).model_fields if "log" in name] == []


def test_the_message_of_a_failed_run_begins_with_words_that_are_the_same_for_all(prefect_api: None) -> None:
    @flow(persist_result=False)
    def run() -> None:
        raise ValueError("no")

    message = run(return_state=True).message or ""
    assert message != "ValueError: no"
    assert without_preamble(message) == "ValueError: no"


def _operational(errorname: str) -> Exception:
    from sqlalchemy.exc import OperationalError

    error = sqlite3.OperationalError("an error")
    error.sqlite_errorname = errorname
    return OperationalError("select 1", None, error)


def test_which_errors_mean_a_busy_database_only_the_server_knows() -> None:
    """#18934."""
    from prefect.server.api.server import is_client_retryable_exception
    from sqlalchemy.exc import TimeoutError as NoFreeConnection

    for name, busy in (("SQLITE_BUSY", True), ("SQLITE_BUSY_SNAPSHOT", True), ("SQLITE_FULL", False)):
        assert is_client_retryable_exception(_operational(name)) is busy
        assert is_database_busy(_operational(name)) is busy
    assert not is_client_retryable_exception(NoFreeConnection())
    assert is_database_busy(NoFreeConnection())


def test_a_server_answers_that_its_database_is_busy_at_once_and_raises_the_error_all_the_same() -> None:
    """Hence `waiting_for_database`."""
    import asyncio

    from prefect.server.api.server import create_app

    asked: list[str] = []

    async def main() -> None:
        app = create_app(ephemeral=True, ignore_cache=True)
        inner = next(route.app for route in app.routes if route.path == "/api")  # type: ignore[attr-defined]

        @inner.get("/busy-database")
        async def busy() -> None:
            asked.append("once")
            raise _operational("SQLITE_BUSY")

        for raises in (False, True):
            transport = httpx.ASGITransport(inner, raise_app_exceptions=raises)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                if raises:
                    with pytest.raises(type(_operational(""))):
                        await client.get("/busy-database")
                else:
                    assert (await client.get("/busy-database")).status_code == httpx.codes.SERVICE_UNAVAILABLE

    asyncio.run(main())
    assert asked == ["once", "once"]


def test_a_servers_docket_has_a_name_and_an_address_and_no_other_setting() -> None:
    """Hence `poll_less`, as in the two tests that follow."""
    from docket import Worker

    assert set(type(Settings().server.docket).model_fields) == {"name", "url"}
    defaults = inspect.signature(Worker).parameters
    assert defaults["minimum_check_interval"].default.total_seconds() == 0.25
    assert defaults["scheduling_resolution"].default.total_seconds() == 0.25


def test_the_server_makes_its_worker_and_its_clock_as_they_are_replaced() -> None:
    """Each is looked up in its module when the server starts, and given nothing of the settings."""
    from prefect.server.api import background_workers
    from prefect.server.events import triggers

    assert "Worker(docket)" in inspect.getsource(background_workers.background_worker)
    assert "evaluate_periodically(periodic_granularity)" in inspect.getsource(triggers.consumer)
    assert inspect.signature(triggers.consumer).parameters["periodic_granularity"].default.total_seconds() == 5.0


def test_a_docket_asks_for_tasks_to_be_cancelled_ten_times_a_second() -> None:
    from docket import Worker

    source = inspect.getsource(Worker._cancellation_listener)
    assert "pubsub.get_message(" in source
    assert "timeout=0.1" in source


def test_the_server_finds_dates_for_each_of_our_schedules() -> None:
    """Before whenever 0.11 it found none for a cron whose time zone is none, and told its log alone."""
    definitions = [one for one in DEFINITIONS if one.cron is not None or one.interval_sec is not None]
    assert {one.name for one in definitions} >= {"watch-folder", "prune"}
    for one in definitions:
        schedule = CronSchedule(cron=one.cron) if one.cron else IntervalSchedule(interval=datetime.timedelta(seconds=one.interval_sec or 0))
        assert len(anyio.run(schedule.get_dates, 2)) == 2


def test_every_use_says_why_it_is_there_and_is_listed_and_tested() -> None:
    here = prefect_private.__name__
    uses = [name for name, value in vars(prefect_private).items() if getattr(value, "__module__", "") == here and not name.startswith("_")]
    uses = [name for name in uses if name not in ("AnyTask", "Pace")]
    assert len(uses) > 10
    for name in uses:
        for point in ("Why: ", "Upstream: ", "Gone when: "):
            assert point in (getattr(prefect_private, name).__doc__ or ""), f"{name} does not say {point!r}"
    listed = (Path(prefect_private.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert [name for name in uses if f"`{name}`" not in listed] == []
    tests_of_uses = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    named = {node.id for node in ast.walk(tests_of_uses) if isinstance(node, ast.Name)}
    documented = "".join(ast.get_docstring(node) or "" for node in tests_of_uses.body if isinstance(node, ast.FunctionDef))
    assert [name for name in uses if name not in named and f"`{name}`" not in documented] == []
