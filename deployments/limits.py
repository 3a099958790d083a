"""The limits of scarce resources: how many steps use the GPU, the CPU, the memory and the network at once."""

from __future__ import annotations

import os
from typing import Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType

from tasks.common.resources import CPU_HEAVY, GPU, MEMORY_HEAVY, NETWORK, RESOURCE_TAGS, available_cores

#: What separation takes of a three-minute song, with the models loaded, and some room.
_GIB_PER_HEAVY_STEP: Final = 3.0
_DOWNLOADS: Final = 4


def suggested_limits() -> dict[str, int]:
    """Slots of each resource that suit this machine. More GPUs: raise `gpu` in the UI."""
    return {
        GPU: 1,
        CPU_HEAVY: max(2, available_cores()),
        MEMORY_HEAVY: max(1, int(_total_memory_gib() // _GIB_PER_HEAVY_STEP)),
        NETWORK: _DOWNLOADS,
    }


def make_limits(client: SyncPrefectClient, chosen: dict[str, int]) -> list[str]:
    """Make the limits that are missing and change those that were chosen; say what was done."""
    there = {limit.name: limit.limit for limit in client.read_global_concurrency_limits(limit=200)}
    changes = []
    for name, slots in {**suggested_limits(), **chosen}.items():
        if name not in there:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))
        elif name in chosen and there[name] != slots:
            client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=slots))
        else:
            continue
        changes.append(f"limit {name}: {slots}")
    return changes


def free_lost_slots(client: SyncPrefectClient) -> list[str]:
    """Give back slots that nobody holds, and say which: a server that kept its leases in memory forgets who held them when it restarts.

    Only where no run is under way, so that nobody can hold one.
    """
    under_way = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]))
    )
    if client.read_flow_runs(flow_run_filter=under_way, limit=1):
        return []
    changes = []
    for limit in client.read_global_concurrency_limits(limit=200):
        if (limit.name in RESOURCE_TAGS or limit.name.startswith("deployment:")) and limit.active_slots:
            client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))
            changes.append(f"limit {limit.name}: {limit.active_slots} slots that nobody held were freed")
    return changes


def _total_memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 8.0
