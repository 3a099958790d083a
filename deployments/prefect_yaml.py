"""Writes `prefect.yaml` from the definitions: `python -m deployments.prefect_yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from deployments.definitions import DEFINITIONS, WORK_POOL, Definition
from tasks.common.orchestration.client_settings import CLIENT_SETTINGS

_HEAD = """\
# Deployments of Performia for a Prefect server with a worker.
# Written by `python -m deployments.prefect_yaml`: change deployments/definitions.py.
#
#     performia setup            # once: the work pool, limits, automation
#     prefect deploy --all
#     prefect worker start --pool performia
#
# The flows are named by module, so they are found wherever the package is installed; nothing is pulled.
"""


def document() -> dict[str, Any]:
    """What `prefect.yaml` holds."""
    return {"name": "performia", "pull": [], "deployments": [_deployment(definition) for definition in DEFINITIONS]}


def text() -> str:
    return _HEAD + yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120)


def _deployment(definition: Definition) -> dict[str, Any]:
    schedule: dict[str, Any] = {"active": True, "slug": definition.name}
    if definition.interval_sec is not None:
        schedule["interval"] = definition.interval_sec
    if definition.cron is not None:
        schedule["cron"] = definition.cron
    scheduled = definition.interval_sec is not None or definition.cron is not None
    return {
        "name": definition.name,
        "entrypoint": definition.flow,
        "description": definition.description,
        "tags": list(definition.tags),
        "parameters": dict(definition.parameters),
        "concurrency_limit": {"limit": definition.concurrency_limit, "collision_strategy": definition.collision_strategy},
        "schedules": [schedule] if scheduled else [],
        "work_pool": {"name": WORK_POOL, "job_variables": {"env": dict(CLIENT_SETTINGS)}},
    }


if __name__ == "__main__":
    (Path(__file__).parents[1] / "prefect.yaml").write_text(text(), encoding="utf-8")
