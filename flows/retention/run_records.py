"""The run records of a Prefect server: which of Performia's runs are going on, and deleting those that ended long ago."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from flows.retention.prune import Pruned, time_text
from tasks.common.errors import ApiUnreachable
from tasks.common.orchestration.liveness import FLOWS
from tasks.common.progress import Progress, silent
from tasks.common.shown_url import shown_failure

_ENDED: Final = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
#: How far the clocks of the server and of this machine may be apart.
_SKEW_SEC: Final = 60.0
_PAGE: Final = 100


@dataclass(frozen=True)
class CurrentRun:
    """A run that has begun and not ended. start: seconds since the epoch."""

    name: str
    start: float


def oldest_current_run(client: SyncPrefectClient, besides: str = "", flows: Sequence[str] = FLOWS) -> CurrentRun | None:
    """The run of these flows that has been going on longest, not counting the one with the id `besides`. Raises ApiUnreachable."""
    going_on = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=_ENDED)), start_time=FlowRunFilterStartTime(is_null_=False)
    )
    try:
        found = client.read_flow_runs(flow_filter=_of(flows), flow_run_filter=going_on, sort=FlowRunSort.START_TIME_ASC, limit=2)
    except httpx.TransportError as error:
        raise ApiUnreachable(f"The Prefect server does not answer ({shown_failure(error)})") from error
    for run in found:
        if str(run.id) != besides and run.start_time is not None:
            return CurrentRun(run.name, run.start_time.timestamp() - _SKEW_SEC)
    return None


def prune_runs(client: SyncPrefectClient, cutoff: float, dry_run: bool, progress: Progress = silent) -> list[Pruned]:
    """Delete the runs that ended before `cutoff` (seconds since the epoch), with their task runs, logs and artifacts; return which went."""
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ENDED)),
        end_time=FlowRunFilterEndTime(before_=datetime.datetime.fromtimestamp(cutoff, datetime.UTC)),
    )
    gone: list[Pruned] = []
    total = max(1, client.count_flow_runs(flow_filter=_ours(), flow_run_filter=ended))
    for run in _all_runs(client, ended):
        if dry_run or _delete(client, run):
            used = time_text(run.end_time.timestamp()) if run.end_time else None
            gone.append(Pruned(kind="run", name=f"{run.name} ({run.id})", used=used))
            progress(min(1.0, len(gone) / total), run.name)
    return gone


def _ours() -> FlowFilter:
    return _of(FLOWS)


def _of(flows: Sequence[str]) -> FlowFilter:
    return FlowFilter(name=FlowFilterName(any_=list(flows)))


def _all_runs(client: SyncPrefectClient, chosen: FlowRunFilter) -> Iterator[FlowRun]:
    """Every run at the time of the call: ids do not move when others are deleted, pages do."""
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_filter=_ours(), flow_run_filter=chosen, sort=FlowRunSort.ID_DESC, limit=_PAGE, offset=len(found)
    ):
        found += page
    yield from found


def _delete(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Delete a run unless it is gone or was started again. Its artifacts first: nothing else would lead to them afterwards."""
    try:
        state = client.read_flow_run(run.id).state
        if state is None or not state.is_final():
            return False
        while artifacts := client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])), limit=_PAGE
        ):
            for artifact in artifacts:
                client.delete_artifact(artifact.id)
        client.delete_flow_run(run.id)
    except ObjectNotFound:
        return False
    return True
