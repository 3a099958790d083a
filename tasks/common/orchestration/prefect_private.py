"""What Performia needs of Prefect that has no public name or no documented behaviour: all of it, and only here.

Each use says why it is there, which issue of PrefectHQ/prefect would clear it, and when it is gone. For each there is a test in
`tests/contract/test_prefect.py`, which fails when Prefect has mended or changed what the use is there for. `tasks/common/README.md` lists
them. What belongs to Prefect's server is imported inside the functions: whoever imports this module does not import the server.
"""

from __future__ import annotations

import asyncio
import copy
import datetime
import logging
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext, SyncClientContext, TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.task_runners import TaskRunner
from prefect.utilities.annotations import allow_failure, opaque

if TYPE_CHECKING:  # the server does without tasks
    from prefect.tasks import Task

AnyTask = TypeVar("AnyTask", bound="Task[..., Any]")

#: How long the queues of events and logs may take to empty.
_DRAIN_SEC: Final = 5
#: What Prefect writes before the error in the message of a failed run's state.
_PREAMBLE: Final = re.compile(r"^Flow run encountered an exception: ")
#: What Prefect's runner says of other things than its own health.
_RUNNER_LOGGERS: Final = ("prefect.runner.flow_run_executor", "prefect.runner.control_channel")


# Steps: their inputs, results and contexts


class _One(NamedTuple):
    """A named tuple is made again from its parts by pickle, cloudpickle and Dask."""

    value: Any


class Whole(_One, opaque):  # type: ignore[misc,type-arg]
    """`opaque` that survives the way to a worker.

    Why: Prefect's annotations are tuples whose `__new__` wraps: unpickled, they hold their value twice; Dask makes them plain tuples.
    Upstream: PrefectHQ/prefect#7590, #8037 (closed; they came back with 3.x).
    Gone when: an annotation that is pickled and unpickled equals itself.
    """


class AllowFailure(_One, allow_failure):  # type: ignore[misc,type-arg]
    """`allow_failure` that survives the way to a worker. Where the step it stands for never ran, the reader gets None.

    Why: as `Whole`; and a step that can do without an input must also run where that input's own input has failed.
    Upstream: PrefectHQ/prefect#7590; #22918 (open) calls it a bug that such a reader runs, #22931 would keep it as the default.
    Gone when: as `Whole`. If #22918 is mended the other way, the flow hands in None itself.
    """


class UnsavedStorage(WritableFileSystem):
    """Storage of results that is no block at the server; `with_unsaved_storage` gives it to a task.

    Why: Prefect shows where a record is by `_resolve_path`, if a storage has one; else by its key alone.
    Upstream: none found; searched.
    Gone when: a storage has a public way to say where a record is.
    """

    @abstractmethod
    def where(self, path: str) -> str:
        """The whole path of a record."""

    def _resolve_path(self, path: str) -> str:
        return self.where(path)


def with_unsaved_storage(task: AnyTask, storage: UnsavedStorage) -> AnyTask:
    """A copy of a task that keeps its results in a storage which is no block at the server.

    Why: `Task(result_storage=...)` refuses a storage that is not saved as a block at the server; where the results are is in the settings
    of each process, and not the server's to know. What is set later is taken as it is.
    Upstream: PrefectHQ/prefect#15794 (open).
    Gone when: a task takes a storage that is not saved.
    """
    bound = copy.copy(task)
    bound.result_storage = storage
    return bound


@contextmanager
def travelling(context: FlowRunContext) -> Iterator[None]:
    """The context of a run as its steps' workers get it: without the flow's hooks, and without the task, if any, that the run is part of.

    Why: Prefect pickles the contexts with each task that goes to a worker, hooks and outer task included. Only this process uses those,
    and they may hold what cannot be pickled: a lock, a watcher. There is no public way out of a task's context.
    Upstream: PrefectHQ/prefect#15753 (open).
    Gone when: what goes to a worker names the run, and leaves the flow's hooks and an outer task's inputs behind.
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


@contextmanager
def apart(context: FlowRunContext) -> Iterator[None]:
    """A connection to the server, and a memory of results, that a part of a run does not share with its other parts.

    Why: threads of one run share its connection, so that what happens to one of them happens to all; within a client's context, a new one
    gets the same client. And a run and the runs below it keep their last thousand results in one memory, as long as the outermost lives: a
    megabyte and more a song.
    Upstream: none found that names that memory; searched. PrefectHQ/prefect#12668 and #14329 (closed) are of the same growth.
    Gone when: a run below another has a memory of its own, and a thread a connection.
    """
    from prefect.results import default_cache

    store = context.result_store.model_copy(update={"cache": default_cache()})
    outer = SyncClientContext.__var__.set(None)  # type: ignore[arg-type]
    try:
        with SyncClientContext(), context.model_copy(update={"result_store": store}):
            yield
    finally:
        SyncClientContext.__var__.reset(outer)


class LateTaskRunner(TaskRunner[Any]):
    """Stands in a flow's decorator for a task runner that is chosen when a run starts.

    Why: a flow's task runner is made when its module is imported. Each run asks it for a duplicate, and uses that.
    Upstream: PrefectHQ/prefect#15203 (open).
    Gone when: a flow takes a function that makes its task runner.
    """

    @abstractmethod
    def chosen(self) -> TaskRunner[Any]:
        """The task runner of a run that starts now."""

    def duplicate(self) -> TaskRunner[Any]:  # type: ignore[override]
        return self.chosen()


# The client


def take_slots(client: SyncPrefectClient, names: Sequence[str], lease_sec: float) -> tuple[str, set[str]]:
    """A lease of one slot of each limit, and the names of those that the server has. Raises httpx.HTTPStatusError: 423 where none is free.

    Why: `concurrency()` waits as long as the server guesses, seconds to a minute, while a slot is free. The client's own method asks once;
    its answer is no documented type.
    Upstream: PrefectHQ/prefect#23183, #15618 (open).
    Gone when: `concurrency()` takes a slot within half a second of its release.
    """
    answer = client.increment_concurrency_slots_with_lease(list(names), 1, "concurrency", lease_sec).json()
    return str(answer["lease_id"]), {limit["name"] for limit in answer["limits"]}


def drain_queues() -> None:
    """Send the events and logs that are queued.

    Why: they are sent by threads. If the server goes before they are done, the process complains on its standard error when it ends, after
    ten seconds of trying.
    Upstream: PrefectHQ/prefect#9148 (open). #14854 does the same in Prefect's test harness.
    Gone when: the queues have a public flush, or a process ends in silence after its server.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=_DRAIN_SEC)
    EventsWorker.drain_all(timeout=_DRAIN_SEC)


def quiet_console() -> None:
    """Nothing of this run's log goes to the terminal of the service.

    Why: how much a console handler says is read when the run's process sets its log up, before any code of ours, from an environment that
    it shares with the runner.
    Upstream: none found; searched.
    Gone when: the handlers follow the settings, or a runner gives its runs settings of their own.
    """
    from prefect.logging.handlers import PrefectConsoleHandler

    loggers = [logging.root, *(found for found in logging.root.manager.loggerDict.values() if isinstance(found, logging.Logger))]
    for handler in (handler for found in loggers for handler in found.handlers if isinstance(handler, PrefectConsoleHandler)):
        handler.setLevel(logging.CRITICAL)


def quiet_runner() -> None:
    """What Prefect's runner says of other things than its own health is not for a person at the terminal.

    That a run failed it says itself (`flows.run.hooks.failed`), that its process died says the look-after; and a stray request at a port
    that only runs know is refused in silence.

    Why: the runner has one setting for all that it says; those two of its parts are told by their loggers' names.
    Upstream: none found; searched.
    Gone when: the runner leaves to a run what the run says itself.
    """
    for name in _RUNNER_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def without_preamble(message: str) -> str:
    """The error in the message of a failed run's state.

    Why: a hook is told a run's error as text, after a few words that are the same for all.
    Upstream: none found; searched.
    Gone when: a state of a run that has just failed gives the error's text alone.
    """
    return _PREAMBLE.sub("", message)


# The server


def is_database_busy(error: BaseException) -> bool:
    """Whether an error of a request at Prefect's server says no more than that the database has no time.

    Why: SQLite lets one connection write at a time. The server answers 503 where its database is busy, or 500 where no connection was free,
    and raises the error all the same; which errors these are is known to that function of its only.
    Upstream: PrefectHQ/prefect#18934 (open), #19771; #9938 made the function.
    Gone when: the server itself waits for its database.
    """
    from prefect.server.api.server import is_client_retryable_exception
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.exc import TimeoutError as NoFreeConnection

    return isinstance(error, NoFreeConnection) or (isinstance(error, OperationalError) and is_client_retryable_exception(error))


class Pace(NamedTuple):
    """How seldom a server does by the clock what has no setting."""

    #: How long the worker of background tasks waits for a new one, which ends the wait. [250 ms]
    queue: datetime.timedelta
    #: How late a task may start that was put off, such as the server's services. [250 ms]
    due: datetime.timedelta
    #: How often the worker tells other servers that it lives. [2 s]
    heartbeat: datetime.timedelta
    #: How often it looks for tasks to be cancelled; Prefect's server cancels none. [100 ms]
    cancelled_sec: float
    #: How often automations are read anew, which every change does too, and counts of past events are swept. [5 s]
    automations: datetime.timedelta


def poll_less(pace: Pace) -> None:
    """Let this process, which is Prefect's server, wait for its background tasks instead of asking for them.

    Why: the server makes its worker of docket's with that library's defaults, for a queue that other machines fill: it asks a dozen times a
    second, day and night. burner-redis, which is the queue within one process, is asked for cancelled tasks in the same way; and the
    triggers are evaluated by two clocks, of which the setting reaches one.
    Upstream: none found; searched. fastmcp, of the same makers, made docket's interval a setting (PrefectHQ/fastmcp#3500).
    Gone when: Prefect's server has settings for them, beside the name and the URL of its docket.
    """
    from burner_redis.pubsub import PubSub
    from docket import Docket, Worker
    from prefect.server.api import background_workers
    from prefect.server.events import triggers

    class PatientWorker(Worker):
        def __init__(self, docket: Docket) -> None:
            docket.heartbeat_interval = pace.heartbeat
            super().__init__(docket, minimum_check_interval=pace.queue, scheduling_resolution=pace.due)

    asked_at_once, evaluate = PubSub.get_message, triggers.evaluate_periodically

    async def get_message(self: Any, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Any:
        message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        if message is None and timeout != 0.0:
            await asyncio.sleep(pace.cancelled_sec)
            message = await asked_at_once(self, ignore_subscribe_messages, 0.0)
        return message

    async def evaluate_seldom(granularity: datetime.timedelta) -> None:
        await evaluate(max(granularity, pace.automations))

    replaced: list[tuple[Any, str, Any]] = [
        (background_workers, "Worker", PatientWorker),
        (PubSub, "get_message", get_message),
        (triggers, "evaluate_periodically", evaluate_seldom),
    ]
    for owner, name, ours in replaced:
        setattr(owner, name, ours)
