"""What every flow shares: how its run is known to be alive, how it ends when it is cancelled, and where a served run may read and write."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from prefect.runtime import deployment, flow_run

from flows.run.live_progress import LiveProgress
from flows.run.progress_log import attempt_of
from flows.run.watching import is_watched
from tasks.common.confinement import refuse_input, refuse_output
from tasks.common.orchestration import liveness
from tasks.common.orchestration.prefect_private import quiet_console, without_preamble
from tasks.common.orchestration.time_limit import end_hanging_runs_with
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import discard_unfinished
from tasks.ingest.file_names import as_text
from tasks.packager.summary import one_line

#: `performia serve` says in the environment of its runs which process it is.
SERVICE_PID = "PERFORMIA__SERVICE_PID"
_PARENT_SEC: Final = 1.0


#: Of the runs of this process.
_live_progress: dict[str, LiveProgress] = {}


def is_served() -> bool:
    """Whether this run was started by a deployment, and not by a person's own code or command."""
    return bool(deployment.id)


def confine(source: Path | None, output_dir: Path | None) -> None:
    """Raise AudioPathRefused or OutputPathRefused where a served run asks for files or folders outside the allowed folders."""
    if is_served():
        refuse_input(source, get_settings())
        refuse_output(output_dir, get_settings())


def started(flow: Any, flow_run: Any, state: Any) -> None:
    """Flow hook: note that the run is alive, and end at once when it is cancelled."""
    liveness.mark_running(flow, flow_run, state)
    run = str(flow_run.id)
    if flow.name == "analyze-song" and run not in _live_progress and is_watched():  # it is there when a run is tried again
        _live_progress[run] = LiveProgress(run, flow_run.name, attempt_of(flow_run.tags))
        _live_progress[run].start()
    if is_served():
        quiet_console()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _end_now)
        end_hanging_runs_with(_end_process)
        end_with_service()


def say_last() -> None:
    """Write the end of the history of the run that this is called in. Before the server knows the end: whoever sees that has it all."""
    if progress := _live_progress.pop(str(flow_run.id), None):
        progress.stop()


def ended(flow: Any, flow_run: Any, state: Any) -> None:
    """Flow hook: the run has ended in order."""
    if progress := _live_progress.pop(str(flow_run.id), None):
        progress.stop()
    liveness.mark_ended(flow, flow_run, state)


def failed(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 (Prefect: the signature of a hook)
    """Flow hook: a person at the terminal of the service gets one line. The traceback is in the log on the run's page."""
    if is_served():
        print(failure_line(flow_run.name, state.message or ""), file=sys.stderr, flush=True)


def failure_line(name: str, message: str) -> str:
    """What happened to which run, and what to do, on one line."""
    reason = re.sub(r"^\w+: (?=[A-Z]+_)", "", without_preamble(message))
    return one_line(as_text(" ".join(f"{name}: {reason or 'failed'}".split())))


def end_with_service() -> None:
    """Let this process, a run of `performia serve`, end within seconds when that process is gone; the next start takes it up again.

    Otherwise an analysis would go on for minutes, on a machine where nobody asked for it any more.
    """
    service = os.environ.get(SERVICE_PID)
    if service != str(os.getppid()):  # a worker's run
        return

    def look_at_parent() -> None:
        while os.getppid() == int(service):
            time.sleep(_PARENT_SEC)
        _end_process()

    threading.Thread(target=look_at_parent, name="service-alive", daemon=True).start()


def _end_process() -> None:
    discard_unfinished()
    os._exit(1)


def _end_now(number: int, frame: Any) -> None:  # noqa: ARG001 (the signature of a signal handler)
    """Cancelled. Native code in worker threads cannot be interrupted, and Python would wait for it; nothing of ours is left behind.

    The kernel frees the locks; the runner, which sent the signal, tells the server. Slots are given back by the next to wait for one.
    """
    discard_unfinished()
    os._exit(128 + number)


#: For the decorator of every flow: `@flow(..., **LIFE)`.
LIFE: Final[dict[str, Any]] = {
    # What a flow returns is on the disk already. Prefect would keep a pickle of it where its own settings say to keep every result.
    "persist_result": False,
    "on_running": [started],
    "on_completion": [ended],
    "on_failure": [ended, failed],
    "on_crashed": [ended],
    "on_cancellation": [ended],
}
