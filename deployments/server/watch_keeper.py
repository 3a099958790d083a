"""Keeps the inbox watched under `performia serve`: where no run of the watch is under way, and none is due soon, one is started."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from flows.run.scheduled_runs import name_scheduled, next_start, scheduled_runs

WATCH: Final = "watch-folder/watch-folder"
_UNDER_WAY: Final = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
#: The next scheduled run is waited for where it is due so soon.
_SOON_SEC: Final = 60.0
#: A run of the watch that ended sooner than this may end as soon again: the next is started later and later.
_SHORT_SEC: Final = 60.0
_PAUSES_SEC: Final = (0.0, 10.0, 60.0, 300.0)


class WatchKeeper:
    """Ask `keep` now and then, and after a run has died."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self._clock = clock
        self._started_at = float("-inf")
        self._short = 0
        #: Whether the deployment of the watch and its next scheduled run are there: the runner registers the one some seconds after the
        #: start, and the server makes the other up to a minute later.
        self.settled = False

    def keep(self, client: SyncPrefectClient) -> bool:
        """Start a run of the watch if one is lacking; whether it was. Names the scheduled runs of all our flows.

        A deployment that is paused, or has no active schedule, is left alone: that is how a person stops the watch.
        """
        runs = scheduled_runs(client)
        name_scheduled(client, runs)
        try:
            deployment = client.read_deployment_by_name(WATCH)
        except ObjectNotFound:
            return False
        now = self._clock()
        coming = next_start(runs, deployment.id)
        stopped = deployment.paused or not any(schedule.active for schedule in deployment.schedules)
        self.settled = stopped or any(run.auto_scheduled and str(run.deployment_id) == str(deployment.id) for run in runs)
        if stopped:
            return False
        if coming is not None and coming - now < _SOON_SEC:
            return False
        which = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        states = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)))
        if client.read_flow_runs(deployment_filter=which, flow_run_filter=states, limit=1):
            return False
        pause = _PAUSES_SEC[self._short]
        if now - self._started_at < pause:
            return False
        self._short = min(self._short + 1, len(_PAUSES_SEC) - 1) if now - self._started_at < pause + _SHORT_SEC else 0
        self._started_at = now
        client.create_flow_run_from_deployment(deployment.id, name="watch-folder", tags=["performia"])
        return True
