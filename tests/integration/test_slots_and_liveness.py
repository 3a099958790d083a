"""Slots of scarce resources and runs of dead processes, on a real Prefect API; and what `performia setup` makes there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Crashed, Pending, Running

from deployments.installation import WATCH_AGAIN, ZOMBIES, install, make_watch_automation
from deployments.limits import free_lost_slots, suggested_limits
from tasks.common.orchestration import slots as module
from tasks.common.orchestration.liveness import mark_ended, mark_running, reap_dead_runs
from tasks.common.orchestration.slots import slots, slots_dir
from tasks.common.resources import GPU, MEMORY_HEAVY, RESOURCE_TAGS
from tasks.common.settings import get_settings, reset_settings

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow(name="analyze-song")
def a_flow() -> None: ...


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def limit(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A limit of one slot."""
    monkeypatch.setattr(module, "_absent", {})
    name = f"limit-{uuid.uuid4().hex[:8]}"
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    yield name
    client.delete_global_concurrency_limit_by_name(name)


def taken(client: SyncPrefectClient, name: str) -> int:
    return int(client.read_global_concurrency_limit_by_name(name).active_slots)


def test_a_slot_is_held_and_given_back_also_after_an_error(client: SyncPrefectClient, limit: str) -> None:
    def use() -> None:
        with slots([limit]):
            assert taken(client, limit) == 1
            raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        use()
    assert taken(client, limit) == 0
    assert not list(slots_dir().glob("*.lease"))


def test_only_one_has_the_slot_and_the_next_follows_soon(client: SyncPrefectClient, limit: str) -> None:
    inside = 0
    most = together = 0
    refused = threading.Event()

    def use() -> None:
        nonlocal inside, most, together
        with slots([limit], waiting=refused.set):
            inside += 1
            together += 1
            most = max(most, together, taken(client, limit))
            assert refused.wait(60), "nobody has to wait"  # the first keeps its slot until the second has asked for it
            time.sleep(0.1)
            together -= 1

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == 5
    assert most == 1
    assert refused.is_set()


def test_a_limit_that_the_server_lacks_limits_nothing(client: SyncPrefectClient) -> None:
    with slots(["no-such-limit"]), slots(["no-such-limit"]):
        pass


def test_the_slot_of_a_killed_process_is_free_for_the_next_at_once(
    client: SyncPrefectClient, limit: str, data_dir: Path, api_environment: dict[str, str]
) -> None:
    code = f"""
import sys, time
from tasks.common.orchestration.slots import slots
with slots([{limit!r}]):
    print("held", flush=True)
    time.sleep(600)
"""
    environment = {**os.environ, **api_environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert taken(client, limit) == 1
    holder.kill()
    holder.wait()
    got = threading.Event()

    def use() -> None:
        with slots([limit]):
            got.set()

    thread = threading.Thread(target=use)
    thread.start()
    assert got.wait(30)  # Prefect alone would free it when the lease ends, after two minutes
    thread.join()
    assert taken(client, limit) == 0


def test_setup_makes_what_is_missing_once_and_leaves_what_was_changed(client: SyncPrefectClient) -> None:
    changes = "\n".join(install(client, {}))
    for name in (*RESOURCE_TAGS, "work pool performia", ZOMBIES, "performia-artifacts", "performia-results"):
        assert name in changes
    assert install(client, {}) == []
    assert install(client, {GPU: 3}) == ["limit gpu: 3"]
    assert install(client, {}) == []
    assert client.read_global_concurrency_limit_by_name(GPU).limit == 3
    assert min(suggested_limits().values()) >= 1


def test_a_watch_whose_process_died_is_started_again_by_the_server_and_another_flow_is_not(client: SyncPrefectClient) -> None:
    from flows.folder_watch.flow import watch_folder

    assert make_watch_automation(client) == [f"automation {WATCH_AGAIN!r}"]
    assert make_watch_automation(client) == []
    watch, song = watch_folder.to_deployment("watch-folder").apply(), a_flow.to_deployment("analyze-song").apply()

    def runs(deployment: uuid.UUID) -> list[FlowRun]:
        return client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])))

    try:
        for deployment in (song, watch):
            run = client.create_flow_run_from_deployment(deployment)
            client.set_flow_run_state(run.id, Running(), force=True)
            client.set_flow_run_state(run.id, Crashed(message="The process died."), force=True)
        deadline = time.monotonic() + 120
        while len(runs(watch)) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert sorted(run.state_name for run in runs(watch)) == ["Crashed", "Scheduled"]
        assert [run.state_name for run in runs(song)] == ["Crashed"]  # its event came first
    finally:
        client.delete_automation(client.read_automations_by_name(WATCH_AGAIN)[0].id)
        for deployment in (song, watch):
            client.delete_deployment(deployment)


def test_slots_that_nobody_holds_are_freed_only_while_nothing_runs(client: SyncPrefectClient) -> None:
    install(client, {})
    client.increment_concurrency_slots_with_lease([MEMORY_HEAVY], 1, "concurrency", 600)
    run = client.create_flow_run(a_flow, state=Running())
    assert free_lost_slots(client) == []
    client.set_flow_run_state(run.id, Pending(), force=True)
    client.delete_flow_run(run.id)
    assert any(MEMORY_HEAVY in change for change in free_lost_slots(client))
    assert taken(client, MEMORY_HEAVY) == 0


class Marked:
    """A run as a hook is given it."""

    def __init__(self, run_id: uuid.UUID):
        self.id = run_id


def test_a_run_that_lives_is_left_and_one_whose_process_died_is_ended(client: SyncPrefectClient, data_dir: Path) -> None:
    alive, dead, cancelled = (client.create_flow_run(a_flow, state=Running()) for _ in range(3))
    client.set_flow_run_state(cancelled.id, Cancelling(), force=True)
    mark_running(None, Marked(alive.id), None)
    try:
        for run in (dead, cancelled):
            (data_dir / "runs" / f"{run.id}.run").touch()  # as a killed process leaves it
        ended = {run.id for run in reap_dead_runs()}
        assert {str(dead.id), str(cancelled.id)} <= ended
        assert str(alive.id) not in ended
        states = [client.read_flow_run(run.id).state for run in (alive, dead, cancelled)]
        assert [state.name for state in states if state is not None] == ["Running", "Crashed", "Cancelled"]
        assert [path.stem for path in (data_dir / "runs").glob("*.run")] == [str(alive.id)]
    finally:
        mark_ended(None, Marked(alive.id), None)
    assert not list((data_dir / "runs").glob("*.run"))
    client.set_flow_run_state(alive.id, Cancelling(), force=True)
    client.delete_flow_run(alive.id)


def test_a_run_that_never_started_is_ended_after_a_while(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    run = client.create_flow_run(a_flow, state=Pending())
    assert str(run.id) not in {dead.id for dead in reap_dead_runs()}
    monkeypatch.setenv("PERFORMIA_PENDING_LIMIT_SEC", "0.01")
    reset_settings()
    assert get_settings().pending_limit_sec == 0.01
    time.sleep(0.05)
    assert str(run.id) in {dead.id for dead in reap_dead_runs()}


def test_a_run_that_a_worker_may_be_about_to_start_is_left(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that pulls an image keeps its run pending for minutes."""
    pool = client.create_work_pool(WorkPoolCreate(name=f"pool-{uuid.uuid4().hex[:8]}", type="docker"))
    worker = {"work_pool_name": pool.name, "name": "pulls-an-image"}
    deployment = client.create_deployment(client.create_flow(a_flow), "in-a-container", work_pool_name=pool.name)
    run = client.create_flow_run_from_deployment(deployment)
    client.set_flow_run_state(run.id, Pending(), force=True)
    monkeypatch.setenv("PERFORMIA_PENDING_LIMIT_SEC", "0.01")
    reset_settings()
    try:
        client.send_worker_heartbeat(pool.name, worker["name"])
        time.sleep(0.05)
        assert str(run.id) not in {dead.id for dead in reap_dead_runs()}
        client.request("DELETE", "/work_pools/{work_pool_name}/workers/{name}", path_params=worker)
        assert str(run.id) in {dead.id for dead in reap_dead_runs()}
    finally:
        client.delete_deployment(deployment)
        client.delete_work_pool(pool.name)


def test_on_a_server_of_our_own_no_run_is_under_way_that_nobody_runs(client: SyncPrefectClient) -> None:
    run = client.create_flow_run(a_flow, state=Running())
    assert reap_dead_runs() == []
    assert [dead.id for dead in reap_dead_runs(server_is_ours=True)] == [str(run.id)]
