"""The runs that the server has scheduled: when the next is due, and what they are called until they start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from tasks.common.orchestration.liveness import FLOWS

_OURS = FlowFilter(name=FlowFilterName(any_=list(FLOWS)))


def scheduled_runs(client: SyncPrefectClient) -> list[FlowRun]:
    """The runs of our flows that are to start, now or later, the first first."""
    waiting = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])))
    return client.read_flow_runs(flow_filter=_OURS, flow_run_filter=waiting, sort=FlowRunSort.EXPECTED_START_TIME_ASC)


def next_start(runs: Iterable[FlowRun], deployment_id: Any, after: float = 0.0) -> float | None:
    """The unix time at which the first of these runs of a deployment is due that is due later than `after`."""
    its = (run.expected_start_time for run in runs if str(run.deployment_id) == str(deployment_id))
    times = (time.timestamp() for time in its if time is not None)
    return min((time for time in times if time > after), default=None)


def name_scheduled(client: SyncPrefectClient, runs: Iterable[FlowRun]) -> list[FlowRun]:
    """Give the scheduled ones of these runs the name of their flow, which is their deployment's; return those that were renamed.

    Prefect calls a scheduled run by two random words until it starts, and has no setting for it: the name is a default of the database.
    """
    planned = [run for run in runs if run.auto_scheduled]
    if all(run.name in FLOWS for run in planned):
        return []
    names = {flow.id: flow.name for flow in client.read_flows(flow_filter=_OURS)}
    renamed = [run for run in planned if run.name != names.get(run.flow_id, run.name)]
    for run in renamed:
        client.update_flow_run(run.id, name=names[run.flow_id])
    return renamed
