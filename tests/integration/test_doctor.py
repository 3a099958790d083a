"""`performia doctor` against a real Prefect server: before anything is set up, and after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_URL

from deployments.checkup.machine import Finding
from deployments.cli.doctor import examine
from deployments.installation import install
from flows.retention.flow import prune
from tasks.common.resources import RESOURCE_TAGS

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    """A server without anything of ours, whatever other tests of the session left there, and left so."""
    with get_client(sync_client=True) as found:
        clear(found)
        yield found
        clear(found)


def clear(client: SyncPrefectClient) -> None:
    for limit in client.read_global_concurrency_limits(limit=200):
        if limit.name in RESOURCE_TAGS:
            client.delete_global_concurrency_limit_by_name(limit.name)
    for automation in client.read_automations():
        client.delete_automation(automation.id)
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    for pool in client.read_work_pools():
        if pool.name == "performia":
            client.delete_work_pool(pool.name)


def levels(*names: str) -> dict[str, str]:
    return {finding.check: finding.level for finding in examine() if finding.check.startswith(names)}


def finding(check: str) -> Finding:
    return next(found for found in examine() if found.check == check)


def test_a_bare_server_lacks_what_setup_makes_and_then_does_not(client: SyncPrefectClient) -> None:
    assert levels("prefect api", "database", "clock") == {"prefect api": "ok", "database": "ok", "clock": "ok"}
    assert str(PREFECT_API_URL.value()) in finding("prefect api").found
    before = levels("limit", "work pool", "automation", "deployments")
    assert set(before.values()) == {"warning"}
    assert len(before) == len(RESOURCE_TAGS) + 3
    install(client, {})
    after = levels("limit", "work pool", "automation")
    assert set(after.values()) == {"ok"}
    client.update_global_concurrency_limit("gpu", GlobalConcurrencyLimitUpdate(limit=0))
    assert finding("limit gpu").level == "problem"


def test_a_deployment_that_nobody_runs_is_a_problem(client: SyncPrefectClient) -> None:
    prune.to_deployment("prune", cron="30 4 * * *", paused=True).apply()
    found = levels("deployments", "schedules", "service")
    assert found == {"deployments": "warning", "schedules": "warning", "service": "problem"}
    assert "nobody runs prune" in finding("service").found
