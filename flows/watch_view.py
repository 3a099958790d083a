"""What a person sees of a look into the inbox: the run's name, its state, and an artifact where something happened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed

from schemas.results import digest_of
from tasks.common.settings import get_settings
from tasks.folder_watch.report import WatchReport

logger = logging.getLogger(__name__)


def watch_run_name() -> str:
    """The watched folder's name."""
    inbox = (flow_run.parameters or {}).get("inbox") or get_settings().inbox
    return f"watch {Path(str(inbox)).name}"


def look_state(report: WatchReport) -> WatchReport:
    """The state of a look that is over: its message says what there is. Quiet looks leave no artifact."""
    if report.eventful:
        try:
            key = f"watch-{digest_of(report.inbox)[:12]}"
            create_markdown_artifact(report.markdown(), key=key, description=f"Watched folder {report.inbox}")
        except Exception:
            logger.warning("could not create the artifact", exc_info=True)
    state: Any = Completed(message=report.line(), data=report)
    ended: WatchReport = state
    return ended
