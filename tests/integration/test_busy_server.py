"""A Prefect server on SQLite that cannot write for a while makes songs wait; none fails."""

from __future__ import annotations

from pathlib import Path

from held_database import held
from prefect import flow, task
from prefect.client.orchestration import get_client


@flow
def a_flow() -> None: ...


@task
def a_task() -> None: ...


def test_a_busy_server_of_ours_answers_when_it_can(prefect_api: None, prefect_api_home: Path) -> None:
    """The request reads before it writes, as most do: SQLite refuses such a one at once, and Prefect's client asks only so often."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(a_flow)
        with held(prefect_api_home / "prefect.db", seconds=5) as over:
            client.create_task_run(a_task, flow_run_id=run.id, dynamic_key="0")
            assert over.is_set()
