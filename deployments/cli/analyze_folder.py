"""`performia analyze-folder`: all songs of a folder in one process, and a second start that goes on where the first was stopped."""

from __future__ import annotations

import os
import signal

from rich.console import Console

from deployments.cli.console import print_error
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console, print_json, shown
from flows.folder_analysis.request import BatchRequest
from flows.run.unreachable import leave_at_once, named
from schemas.batch import BatchSummary
from tasks.common.errors import AllSongsFailed, ApiUnreachable, PerformiaError
from tasks.common.storage.artifacts import discard_unfinished


def analyze_folder_command(request: BatchRequest, *, as_json: bool = False, debug: bool = False) -> int:
    """Analyse the folder and return the exit code: 0, or 1 if any song failed, 130 if interrupted or told to end."""
    console = error_console()
    quiet_prefect()
    signal.signal(signal.SIGTERM, _stop)
    finished: list[str] = []
    summaries: list[BatchSummary] = []

    def tell(problem: PerformiaError | None = None) -> None:
        """What is finished, as JSON if it was asked for; what stopped it, where nothing is."""
        if as_json and summaries:
            print_json(summaries[0].model_dump(mode="json"))
        elif as_json and problem is not None:
            print_json({"code": problem.code, "error": shown(problem)})

    try:
        request.songs()  # before anything slow starts: a wrong folder is refused at once
        with EmbeddedApi.of_settings():
            _analyze(console, request, finished, summaries)
    except Exception as problem:  # noqa: BLE001 (what is finished is told whatever happens)
        error = named(problem)
        if not isinstance(error, PerformiaError):
            error = PerformiaError(f"{type(error).__name__}: {error}")
        if debug:
            console.print_exception()
        print_error(console, error)
        tell(error)
        if isinstance(error, ApiUnreachable):
            leave_at_once(1)
        return 1
    except KeyboardInterrupt:
        # Native code in worker threads cannot be interrupted; what is finished is written, and the API has been stopped in order.
        discard_unfinished()
        tell()
        console.print(f"\nStopped{f' after {finished[0]} songs' if finished else ''}. The same command goes on from there.")
        os._exit(130)
    tell()
    return 1 if summaries[0].failed else 0


def _stop(number: int, frame: object) -> None:  # noqa: ARG001 (the signature of a signal handler)
    """Told to end: as by Ctrl-C."""
    raise KeyboardInterrupt


def _analyze(console: Console, request: BatchRequest, finished: list[str], summaries: list[BatchSummary]) -> None:
    """Run the flow and show how it goes. finished: gets how many songs are done, if it is stopped. summaries: gets the summary."""
    from prefect.exceptions import TerminationSignal

    from deployments.cli.folder_console import BatchProgress, print_batch_summary
    from flows.folder_analysis.batch_run import watched_by
    from flows.folder_analysis.flow import analyze_folder

    with BatchProgress(console, request.folder) as progress, watched_by(progress):
        try:
            analyze_folder(**vars(request))
        except AllSongsFailed:
            pass  # each has been shown, and the table follows
        except (KeyboardInterrupt, TerminationSignal) as stop:
            finished.append(f"{progress.finished} of {progress.total}")
            raise KeyboardInterrupt from stop
        finally:
            if progress.summary is not None:
                summaries.append(progress.summary)
    print_batch_summary(console, summaries[0])
