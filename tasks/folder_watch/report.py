"""What a look at the inbox led to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tasks.packager.summary import escape


class WatchReport(BaseModel):
    """The outcome of one look. Songs are named by their path below the inbox."""

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
