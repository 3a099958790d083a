"""Which runs live: each holds a locked file while it runs, and the kernel unlocks it with the process.

Prefect learns late or never that a process was killed: the run stays `Running`. There are two ways to know it, and no third. On this
machine the kernel says so: whoever looks after its runs (the folder watch, `performia serve`) calls `reap_dead_runs`, which ends those
whose file is unlocked; the leases of slots are known to be left in the same way. On other machines Prefect's heartbeat says so: of a run,
to the automation that `performia setup` makes; of a worker, to the server.

A run that has not begun has neither. It is ended where nobody can be about to begin it: at once on a server that has just been started,
which nobody has asked yet, else after `pending_limit_sec` if no worker of its pool is alive.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from tasks.common.locks import Lock, hold, is_held, is_left
from tasks.common.orchestration.slots import free_dead_leases, slots_dir
from tasks.common.settings import get_settings

#: The flows of this project, by Prefect's name.
FLOWS: Final = ("analyze-song", "analyze-folder", "evaluate-song", "watch-folder", "prune")
_UNDER_WAY: Final = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]

_held: dict[str, Lock] = {}
_guard = threading.Lock()


@dataclass(frozen=True)
class DeadRun:
    """A run whose process is gone, ended at the server."""

    id: str
    name: str
    was: str


def mark_running(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 (Prefect: the signature of a hook)
    """Flow hook: the run lives as long as this process."""
    path = _file(str(flow_run.id))
    with _guard:
        if path.name not in _held:
            _held[path.name] = hold(path, timeout_sec=1)


def mark_ended(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 (Prefect: the signature of a hook)
    """Flow hook: the run has ended in order."""
    path = _file(str(flow_run.id))
    with _guard:
        lock = _held.pop(path.name, None)
    if lock is not None:
        path.unlink(missing_ok=True)
        lock.release()


def reap_dead_runs(client: SyncPrefectClient | None = None, server_is_ours: bool = False) -> list[DeadRun]:
    """End the runs of this machine whose process died, give back their slots, and return them.

    server_is_ours: the server has just been started by this process, so that no other machine can have started a run on it.
    """
    if client is None:
        with get_client(sync_client=True) as own:
            return reap_dead_runs(own, server_is_ours)
    dead = [*_reap_marked(client)]
    dead += _reap_unmarked(client, _UNDER_WAY, 0.0) if server_is_ours else []
    dead += _reap_unmarked(client, [StateType.PENDING], get_settings().pending_limit_sec)
    free_dead_leases(client)
    return dead


def any_died_here() -> bool:
    """Whether a process of this machine died that had a run or a slot. Asks the kernel only, not the server."""
    runs = _file("").parent.glob("*.run")
    return any(map(is_left, [*runs, *slots_dir().glob("*.lease")]))


def _file(run: str) -> Path:
    return get_settings().data_dir / "runs" / f"{run}.run"


def _alive(run: str) -> bool:
    """Whether a process of this machine says that it runs this run."""
    return is_held(_file(run))


def _reap_marked(client: SyncPrefectClient) -> Iterable[DeadRun]:
    """Runs that were marked here and whose process is gone."""
    for path in sorted(_file("").parent.glob("*.run")):
        try:
            run = UUID(path.stem)
        except ValueError:
            continue
        if _alive(path.stem):
            continue
        try:
            state = client.read_flow_run(run).state
        except ObjectNotFound:
            state = None
        if state is not None and state.type in _UNDER_WAY:
            yield _end(client, run)
        path.unlink(missing_ok=True)


def _reap_unmarked(client: SyncPrefectClient, states: list[StateType], limit_sec: float) -> Iterable[DeadRun]:
    """Runs in a state for so long, of which no process says that it runs them.

    Pending: their process died before it could say anything, or whoever was to start it did.
    """
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=limit_sec)
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states))),
    )
    for run in runs:
        if run.state is not None and run.state.timestamp < long_ago and not _alive(str(run.id)) and _is_ours(client, run):
            yield _end(client, run.id)


def _is_ours(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether no worker may be about to start a run: to pull an image takes it minutes."""
    if run.work_pool_name is None:
        return True
    return not any(worker.status is WorkerStatus.ONLINE for worker in client.read_workers_for_work_pool(run.work_pool_name))


def _end(client: SyncPrefectClient, run: UUID) -> DeadRun:
    """Crashed, or cancelled where that was asked for."""
    found = client.read_flow_run(run)
    was = found.state.name if found.state is not None and found.state.name else ""
    cancelling = found.state is not None and found.state.type is StateType.CANCELLING
    end_run(client, run, Cancelled(message="Cancelled; the process is gone.") if cancelling else Crashed(message="The process died."))
    return DeadRun(str(run), found.name, was)


def end_run(client: SyncPrefectClient, run: UUID, state: State[Any]) -> None:
    """Put a run, and those of its tasks that have not ended, into a state at the server."""
    for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run]))):
        if task.state is None or not task.state.is_final():
            client.set_task_run_state(task.id, state, force=True)
    client.set_flow_run_state(run, state, force=True)
