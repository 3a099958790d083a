"""What a folder's run shows in the Prefect UI: how far it is, and a table of the songs. Best effort: the batch goes on without."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from schemas.batch import BatchSummary, SongEntry
from schemas.results import digest_of

logger = logging.getLogger(__name__)

_COLUMNS = ("file", "status", "title", "duration_sec", "key", "bpm", "seconds", "error_code", "error")
#: More rows than a person reads; the manifest has all.
_MOST_ROWS = 1000


class FolderArtifacts:
    """The artifacts of one run over a folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._name = digest_of(str(folder))[:12]
        self._progress: UUID | None = None

    def show_progress(self, done: int, total: int) -> None:
        percent = 100.0 * done / total if total else 100.0
        try:
            if self._progress is None:
                key = f"folder-progress-{self._name}"
                self._progress = cast(UUID, create_progress_artifact(percent, key=key, description=f"Songs of {self._folder.name}"))
            else:
                update_progress_artifact(self._progress, percent)
        except Exception:
            logger.warning("could not show the progress", exc_info=True)

    def show_table(self, summary: BatchSummary, entries: Sequence[SongEntry]) -> None:
        """What went wrong first, then the others in order."""
        ordered = sorted(entries, key=lambda entry: (entry.status in ("done", "cached"), entry.file))
        table = [{column: _cell(getattr(entry, column)) for column in _COLUMNS} for entry in ordered[:_MOST_ROWS]]
        counts = ", ".join(f"{getattr(summary, name)} {name}" for name in ("done", "cached", "partial", "failed", "skipped"))
        text = f"{summary.songs} songs: {counts}. All of it is in {summary.manifest}."
        try:
            create_table_artifact(table, key=f"folder-{self._name}", description=text)
        except Exception:
            logger.warning("could not create the table", exc_info=True)


def _cell(value: object) -> object:
    return "" if value is None else value
