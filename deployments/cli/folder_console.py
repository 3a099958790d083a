"""What a person sees while a folder is analysed, and after: on standard error, so that standard output stays free for results."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from deployments.cli.console import title_of
from deployments.terminal import shown
from flows.folder_analysis.batch_run import BatchWatcher
from flows.song_files import SongFile, SongFolder
from schemas.batch import BatchSummary, SongEntry
from schemas.steps import FINDING
from tasks.common.progress import StepEvent, listening
from tasks.packager.summary import clock

_NAME_WIDTH = 40
_COLOURS = {"done": "green", "cached": "green", "partial": "yellow", "failed": "red", "skipped": "yellow"}


class BatchProgress(BatchWatcher):
    """with BatchProgress(console, folder) as progress: one bar for all songs and a line for each at work; else plain lines."""

    def __init__(self, console: Console, folder: Path):
        self.summary: BatchSummary | None = None
        self.finished = 0
        self.total = 0
        self._console = console
        self._folder = folder.absolute()
        self._live = console.is_terminal
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._analysed = 0
        self._bars: dict[str, TaskID] = {}
        self._at_work: dict[str, dict[str, float]] = {}
        self._all = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.description}"),
            console=console,
        )
        self._total_bar: TaskID | None = None
        self._runs: dict[str, Path] = {}
        self._listening = listening(self._on_event)

    def __enter__(self) -> BatchProgress:
        if self._live:
            self._all.start()
        self._listening.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.__exit__(kind, value, trace)
        if self._live:
            self._all.stop()

    def began(self, kept: list[SongEntry], found: SongFolder, at_once: int) -> None:
        with self._lock:
            self.total, self.finished = len(found.songs), len(kept)
            self._started = time.monotonic()
            already = f", {len(kept)} of them finished before" if kept else ""
            self._print(f"[bold]{escape(shown(self._folder))}[/]: {self.total} songs{already}; {at_once} at a time")
            for skipped in found.skipped:
                self._print(f"[yellow]skipped[/] {self._name(skipped.path)}: {escape(shown(skipped.reason))}")
            if self._live:
                self._total_bar = self._all.add_task("", total=self.total, completed=self.finished, name="songs", count=self._count())

    def song_started(self, song: SongFile, run: str) -> None:
        with self._lock:
            self._runs[run] = song.path
            self._at_work[run] = {}
            if self._live:
                name = f"  {self._name(song.path)[:_NAME_WIDTH]:<{_NAME_WIDTH}}"
                self._bars[run] = self._all.add_task("", total=len(FINDING) + 1, name=name, count="")

    def song_ended(self, song: SongFile, entry: SongEntry) -> None:
        with self._lock:
            self.finished += 1
            self._analysed += 1
            for run in [run for run, path in self._runs.items() if path == song.path]:
                del self._runs[run], self._at_work[run]
                if run in self._bars:
                    self._all.remove_task(self._bars.pop(run))
            if self._total_bar is not None:
                self._all.update(self._total_bar, completed=self.finished, count=self._count(), description=self._time_left())
            if not self._live or entry.error:
                self._print_song(song, entry)

    def ended(self, summary: BatchSummary) -> None:
        self.summary = summary

    def _on_event(self, event: StepEvent) -> None:
        with self._lock:
            steps = self._at_work.get(event.run)
            if steps is None or not self._live:
                return
            if event.kind in ("finished", "failed"):
                steps.pop(event.step, None)
                self._all.advance(self._bars[event.run])
            else:
                steps[event.step] = event.fraction or 0.0
            doing = ", ".join(f"{title_of(step)} {fraction:.0%}" for step, fraction in steps.items())
            self._all.update(self._bars[event.run], description=doing)

    def _print_song(self, song: SongFile, entry: SongEntry) -> None:
        code = f" {entry.error_code}:" if entry.error_code else ""
        problem = f"{code} {escape(shown(entry.error))}" if entry.error else ""
        left = self._time_left()
        where = "" if self._live else f"{self._count():>9}  "
        text = f"{where}[{_COLOURS[entry.status]}]{entry.status}[/] {self._name(song.path)}{problem} [dim]{entry.seconds:.0f} s"
        self._print(f"{text}{f', {left}' if left and not self._live else ''}[/]")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def _name(self, path: Path) -> str:
        below = path.relative_to(self._folder) if path.is_relative_to(self._folder) else path
        return escape(shown(below))

    def _count(self) -> str:
        return f"{self.finished}/{self.total}"

    def _time_left(self) -> str:
        """As many songs as are left, each taking as long as those so far did."""
        left = self.total - self.finished
        if not self._analysed or not left:
            return ""
        seconds = (time.monotonic() - self._started) / self._analysed * left
        return f"about {clock(seconds) if seconds < 3600 else f'{seconds / 3600:.1f} h'} left"


def print_batch_summary(console: Console, summary: BatchSummary) -> None:
    """The table at the end."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row("songs", str(summary.songs))
    table.add_row("music", f"{summary.music_sec / 60:.1f} min")
    for status in ("done", "cached", "partial", "failed", "skipped"):
        count = getattr(summary, status)
        if count or status in ("done", "failed"):
            table.add_row(status, f"[{_COLOURS[status]}]{count}[/]" if count else "0")
    table.add_row("time", f"{clock(summary.seconds)} ({summary.at_once} at a time)")
    if summary.songs_per_hour is not None:
        table.add_row("throughput", f"{summary.songs_per_hour:.0f} songs/hour, {summary.times_real_time:.1f} × real time")
    table.add_row("manifest", escape(shown(summary.manifest)))
    console.print()
    console.print(table, soft_wrap=True)
