"""What a person sees of the folder watch: the run's name, its state, and an artifact that stays true while the run lasts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.folder_watch.report import WatchReport
from schemas.results import digest_of
from tasks.common.settings import get_settings
from tasks.ingest.file_names import as_text

logger = logging.getLogger(__name__)

#: How the names of its runs begin.
WATCH_NAME: Final = "watch "


def watch_run_name() -> str:
    """The watched folder's name."""
    inbox = (flow_run.parameters or {}).get("inbox") or get_settings().inbox
    return f"{WATCH_NAME}{as_text(Path(str(inbox)).name)}"


class WatchPage:
    """The page of one run of the watch."""

    def __init__(self, inbox: str):
        self._report = WatchReport(inbox=inbox)
        self._artifact: UUID | None = None
        self._shown = ""

    def tell(self, report: WatchReport, stays: bool = False) -> None:
        """Show what one more look led to. A run that stays says from its start what is there; a quiet single look leaves no artifact."""
        self._report = self._report.with_look(report)
        if not (stays or self._report.eventful):
            return
        text = self._report.markdown()
        if text != self._shown:
            try:
                self._show(text)
                self._shown = text
            except Exception:
                logger.warning("could not write the artifact", exc_info=True)

    def ended(self, busy: bool = False) -> WatchReport:
        """The state of a run that is over: its message says what there is."""
        report = self._report.model_copy(update={"busy": busy})
        state: Any = Completed(message=report.line(), data=report)
        ended: WatchReport = state
        return ended

    def _show(self, text: str) -> None:
        if self._artifact is None:
            key = f"watch-{digest_of(self._report.inbox)[:12]}"
            made: Any = create_markdown_artifact(text, key=key, description=f"Watched folder {self._report.inbox}")
            self._artifact = made
            return
        with get_client(sync_client=True) as client:
            client.update_artifact(self._artifact, ArtifactUpdate(data=text))
