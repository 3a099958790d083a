"""The runs that a watcher starts and follows, on the Prefect server."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectNotFound

from flows.folder_watch.endings import End, RunEnd
from flows.folder_watch.ledger import SongRecord
from flows.folder_watch.start_runs import idempotency_key
from schemas.options import AnalysisOptions
from tasks.common.errors import DeploymentMissing
from tasks.common.settings import get_settings
from tasks.ingest.file_names import with_text_name

ANALYZE_SONG: Final = "analyze-song/analyze-song"
_PAGE: Final = 100


def deployment_id(client: SyncPrefectClient, name: str = ANALYZE_SONG) -> UUID:
    """The deployment that analyses songs. Raises DeploymentMissing."""
    try:
        return client.read_deployment_by_name(name).id
    except ObjectNotFound:
        raise DeploymentMissing(f"The server has no deployment {name}") from None


def start_run(client: SyncPrefectClient, deployment: UUID, song: SongRecord, options: AnalysisOptions, output_dir: Path) -> str:
    """Make the run of a song's try, and return its id: the run that is there already, where this try was started before.

    A song whose name is no UTF-8 goes by a link, as from the command. Raises AudioPathRefused.
    """
    path = with_text_name(Path(song.path), get_settings())
    parameters: dict[str, Any] = {
        "song": str(path),
        "options": options.model_dump(mode="json"),
        "output_dir": str(output_dir),
        "expected_sha256": song.sha256,
    }
    run = client.create_flow_run_from_deployment(
        deployment, parameters=parameters, idempotency_key=idempotency_key(song), name=path.name, tags=["folder-watch"]
    )
    return str(run.id)


def ends_of(client: SyncPrefectClient, runs: Collection[str]) -> dict[str, RunEnd]:
    """How runs ended, by id; those under way are left out. A run that somebody deleted counts as crashed."""
    ids = sorted(runs)
    ends: dict[str, RunEnd] = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        there = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[UUID(run) for run in page])), limit=_PAGE)
        states = {str(run.id): run.state for run in there}
        for run in page:
            end = RunEnd(End.crashed, "the run was deleted") if run not in states else _end(states[run])
            if end is not None:
                ends[run] = end
    return ends


def _end(state: Any) -> RunEnd | None:
    if state is None or not state.is_final():
        return None
    message = state.message or ""
    if state.is_completed():
        return RunEnd(End.completed, message)
    if state.is_cancelled():
        return RunEnd(End.cancelled, message)
    return RunEnd(End.crashed if state.is_crashed() else End.failed, message)
