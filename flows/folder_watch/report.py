"""What a look at the inbox led to, or all looks of a run."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tasks.packager.summary import escape

#: A run that stays tells of so many songs that were accepted, started, ended: the latest.
_LATEST: Final = 200


class WatchReport(BaseModel):
    """The outcome of a look, or of all looks of a run. Songs are named by their path below the inbox."""

    model_config = ConfigDict(frozen=True)

    inbox: str
    busy: bool = False
    files: int = 0
    unsettled: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    accepted: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    ended: tuple[tuple[str, str], ...] = ()
    dead_runs: tuple[str, ...] = ()
    songs: dict[str, int] = {}

    @property
    def eventful(self) -> bool:
        """Whether anything happened that a person may want to see."""
        return bool(self.accepted or self.started or self.ended or self.dead_runs)

    def with_look(self, later: WatchReport) -> WatchReport:
        """This report after one more look: what happened is added, what is there is as the look found it."""

        def added(name: str) -> tuple[Any, ...]:
            return (*getattr(self, name), *getattr(later, name))[-_LATEST:]

        happened = {name: added(name) for name in ("accepted", "started", "ended", "dead_runs")}
        return later.model_copy(update=happened)

    def line(self) -> str:
        """One line for the run's state."""
        if self.busy:
            return "another watcher is at this folder"
        counts = ", ".join(f"{number} {state}" for state, number in self.songs.items() if number)
        return f"{self.files} files; songs: {counts or 'none'}"

    def markdown(self) -> str:
        """For an artifact."""
        rows = [
            *((name, "accepted") for name in self.accepted),
            *((name, "started") for name in self.started),
            *self.ended,
            *((name, f"left alone: {why}") for name, why in self.skipped),
            *((name, "run whose process had died: ended") for name in self.dead_runs),
        ]
        table = ["| song | what happened |", "| --- | --- |", *(f"| {escape(name)} | {escape(what)} |" for name, what in rows)]
        return "\n".join([f"# {escape(self.inbox)}", "", escape(self.line()), "", *table]) + "\n"
