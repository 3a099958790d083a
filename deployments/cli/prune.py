"""`performia prune`: the flow, run at once, on the server that is configured or on the one that comes with the command."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deployments.cli.console import print_error
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console
from flows.retention.page import size_text, totals_rows
from flows.retention.prune import KINDS, PruneReport
from tasks.common.errors import ApiUnreachable, PerformiaError
from tasks.common.progress import StepEvent, listening
from tasks.common.settings import get_settings
from tasks.common.shown_url import shown_failure, shown_url


def prune_now(
    older_than_days: float | None, dry_run: bool, outputs: list[Path], keep_all_audio_of_maps: bool, sure: bool, as_json: bool
) -> int:
    """Prune, or say what would go, and return the exit code: 0; 1 where it failed; 2 where nobody could be asked; 130 if interrupted.

    sure: do not ask. Without it, what would go is shown first, and the person at the terminal is asked.
    """
    console = error_console()
    quiet_prefect()
    days = get_settings().retention_days if older_than_days is None else older_than_days
    if not (dry_run or sure or sys.stdin.isatty()):
        console.print("Nobody is there to be asked. Say --yes to delete, or --dry-run to see what would go.")
        return 2
    try:
        with EmbeddedApi.of_settings():
            if not (dry_run or sure):
                foreseen = _run(console, days, True, outputs, keep_all_audio_of_maps)
                show(Console(stderr=True, highlight=False), foreseen, list_files=False)
                if not foreseen.pruned or not _confirmed(console):
                    return 0
            report = _run(console, days, dry_run, outputs, keep_all_audio_of_maps)
    except PerformiaError as error:
        print_error(console, error)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. What is deleted is deleted; the rest is as it was.")
        return 130
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        show(Console(width=None if sys.stdout.isatty() else 160, highlight=False), report, list_files=dry_run)
    return 0


def show(console: Console, report: PruneReport, list_files: bool) -> None:
    """What went, or would go: every file where asked for, and the sums."""
    if list_files and report.pruned:
        files = Table("kind", "last used", "size", "name", box=None, pad_edge=False)
        for item in report.pruned:
            files.add_row(KINDS[item.kind], item.used or "", size_text(item.bytes), escape(item.name))
        console.print(files)
        console.print()
    verb = "would go" if report.dry_run else "deleted"
    if report.pruned:
        table = Table(verb, "count", "size", box=None, pad_edge=False)
        for row in totals_rows(report):
            table.add_row(row["kind"], str(row["count"]), row["size"])
        console.print(table)
    else:
        console.print(f"Nothing {verb}: all was used in the last {report.older_than_days:g} days.", soft_wrap=True)
    for note in report.notes:
        console.print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)


def _run(console: Console, days: float, dry_run: bool, outputs: list[Path], keep_all_audio_of_maps: bool) -> PruneReport:
    from prefect.client.orchestration import get_client

    from flows.retention.flow import prune

    with get_client(sync_client=True) as client:
        if (problem := client.api_healthcheck()) is not None:
            raise ApiUnreachable(f"The Prefect server at {shown_url(str(client.api_url))} does not answer ({shown_failure(problem)})")
    with Progress(BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True) as bars:
        bar = bars.add_task("", total=1.0)

        def tell(event: StepEvent) -> None:
            bars.update(bar, completed=event.fraction or 0.0, description=escape(event.message))

        with listening(tell):
            report: PruneReport = prune(days, dry_run, [folder.resolve() for folder in outputs], keep_all_audio_of_maps)
    return report


def _confirmed(console: Console) -> bool:
    return console.input("Delete this? [y/N] ").strip().lower() in ("y", "yes")
