"""What `performia setup` makes on a Prefect server: limits, the work pool, the automation against zombies, storage blocks. Idempotent."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem, RemoteFileSystem

from deployments.definitions import WORK_POOL
from deployments.limits import make_limits
from tasks.common.orchestration.client_settings import HEARTBEAT_SEC
from tasks.common.settings import Settings, get_settings, is_remote, local_path
from tasks.common.shown_url import shown_url

ZOMBIES: Final = "Performia: end runs whose process is gone"
WATCH_AGAIN: Final = "Performia: watch the inbox again"
#: Not at once: where its worker cannot run it, it would be started again and again.
_WATCH_AGAIN_SEC: Final = 15.0
#: Three reports missed mean that a run does not live.
_SILENT_SEC: Final = 3 * HEARTBEAT_SEC + 30


def install(client: SyncPrefectClient, limits: dict[str, int]) -> list[str]:
    """Make what is missing, and say what was changed. What a person has changed stays as it is."""
    return [
        *make_limits(client, limits),
        *_make_pool(client),
        *_make_automation(client, zombie_automation()),
        *make_storage_blocks(get_settings()),
    ]


def _make_pool(client: SyncPrefectClient) -> list[str]:
    """The pool that `prefect.yaml` deploys to: every run is a process of the worker's machine."""
    try:
        client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        from prefect.workers.process import ProcessWorker

        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=template))
        return [f"work pool {WORK_POOL}: process"]
    return []


def zombie_automation() -> AutomationCore:
    """Ends a run as crashed when its heartbeats stop. See Prefect's page "How to detect and respond to zombie flows"."""
    return AutomationCore(
        name=ZOMBIES,
        description="A run that reports no more has lost its process. It is ended as crashed; the folder watch takes its song up again.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={f"prefect.flow-run.{name}" for name in ("heartbeat", "Completed", "Partial", "Failed", "Cancelled", "Crashed")},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=datetime.timedelta(seconds=_SILENT_SEC),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No heartbeat: the process is gone.")],
    )


def watch_automation() -> AutomationCore:
    """Starts the watch of the inbox again where its run died: the next scheduled one may be an hour away.

    For workers; `performia serve` looks after its own. Not where a run was cancelled: so is each that comes while one is under way.
    """
    return AutomationCore(
        name=WATCH_AGAIN,
        description="The run that watched the inbox has lost its process: another one is started.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": "watch-folder"}),
            posture=Posture.Reactive,
            threshold=1,
            within=datetime.timedelta(0),
        ),
        actions=[RunDeployment(source="inferred", deployment_id=None, schedule_after=datetime.timedelta(seconds=_WATCH_AGAIN_SEC))],
    )


def make_watch_automation(client: SyncPrefectClient) -> list[str]:
    """The automation that a server with workers needs to keep the inbox watched."""
    return _make_automation(client, watch_automation())


def _make_automation(client: SyncPrefectClient, automation: AutomationCore) -> list[str]:
    if client.read_automations_by_name(automation.name):
        return []
    client.create_automation(automation)
    return [f"automation {automation.name!r}"]


def make_storage_blocks(settings: Settings) -> list[str]:
    """Blocks that say where the audio and the step cache are, for other flows of the same server. They hold no credentials."""
    changes = []
    for name, url in (("performia-artifacts", settings.artifacts_url), ("performia-results", settings.results_url)):
        block = (
            RemoteFileSystem(basepath=shown_url(url)) if is_remote(url) else LocalFileSystem(basepath=str(Path(local_path(url)).absolute()))
        )
        if _saved_basepath(type(block), name) != block.basepath:
            block.save(name, overwrite=True)
            changes.append(f"block {name}: {block.basepath}")
    return changes


def _saved_basepath(kind: type[LocalFileSystem] | type[RemoteFileSystem], name: str) -> str | None:
    try:
        saved: Any = kind.load(name)
    except ValueError:
        return None
    return str(saved.basepath)
