"""Retention: what nobody has used for some days goes, in Performia's folders and on the Prefect server."""

# No postponed annotations here: Prefect resolves the parameters' types from a copy of the function that does not know this module's names.
import time
from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from pydantic import Field

from flows.retention.page import show_in_ui
from flows.retention.prune import DAY_SEC, PruneReport, Retention, time_text
from flows.retention.run_records import oldest_current_run, prune_runs
from flows.run.hooks import LIFE, confine
from tasks.common.orchestration.liveness import reap_dead_runs
from tasks.common.orchestration.running import current_flow_run
from tasks.common.progress import part_of, reporter
from tasks.common.settings import get_settings


def flow_run_name() -> str:
    """What is asked for, so that a dry run is told from a real one in the UI."""
    parameters = flow_run.parameters or {}
    days = parameters.get("older_than_days")
    age = f"unused for {get_settings().retention_days if days is None else days:g} days"
    return f"{age} (dry run)" if parameters.get("dry_run") else age


@flow(name="prune", flow_run_name=flow_run_name, **LIFE)
def prune(
    older_than_days: Annotated[float, Field(ge=0, le=36500)] | None = None,
    dry_run: bool = False,
    outputs: list[Path] | None = None,
    keep_all_audio_of_maps: bool = False,
) -> PruneReport:
    """Delete the run records, cached results, decoded songs and stems that nobody has used for some days.

    What a current run uses stays, and so does audio of which a kept Song Map has no copy of its own.

    Args:
        older_than_days: Days since the last use. Empty: the setting PERFORMIA_RETENTION_DAYS.
        dry_run: Delete nothing; say what would go, and how many bytes.
        outputs: Folders with Song Maps that are kept, beside the output folder of the settings.
        keep_all_audio_of_maps: Keep all audio of the kept Song Maps, so that none of their steps is ever computed again.

    Raises ApiUnreachable, StorageError, OutputPathRefused.
    """
    for folder in outputs or ():
        confine(None, folder)
    settings = get_settings()
    days = settings.retention_days if older_than_days is None else older_than_days
    progress = reporter(current_flow_run(), "prune")
    reap_dead_runs()  # a run whose process died would hold everything since its start
    with get_client(sync_client=True) as client:
        cutoff, notes = time.time() - days * DAY_SEC, []
        current = oldest_current_run(client, besides=current_flow_run())
        if current is not None and current.start < cutoff:
            cutoff = current.start
            notes.append(f"What was used since {time_text(cutoff)} stays: {current.name} has been running since then")
        files = Retention(settings, cutoff, dry_run, outputs or (), keep_all_audio_of_maps, notes)
        gone = files.prune(part_of(progress, 0.0, 0.8))
        gone += prune_runs(client, cutoff, dry_run, part_of(progress, 0.8, 1.0))
    report = PruneReport(dry_run=dry_run, older_than_days=days, used_before=time_text(cutoff), pruned=tuple(gone), notes=tuple(notes))
    show_in_ui(report)
    return report
