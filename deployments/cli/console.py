"""What a person sees while songs are analysed, and after: on standard error, so that standard output stays free for results."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deployments.terminal import shown
from schemas.song_folder import MAP_NAME, STEMS_FOLDER
from schemas.song_map import SongMap
from schemas.steps import STEPS
from tasks.common.errors import PerformiaError
from tasks.common.progress import StepEvent, listening


def title_of(step: str) -> str:
    """What a step is called on the screen."""
    facts = STEPS.get(step)  # type: ignore[call-overload]
    return facts.title if facts else step


class SongProgress:
    """with SongProgress(console, "song.mp3"): one bar a step, moved by the events of the steps. Plain lines where there is no terminal."""

    def __init__(self, console: Console, title: str):
        self._console = console
        self._title = title
        self._live = console.is_terminal
        self._lock = threading.Lock()
        self._started: dict[str, float] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[name]:<15}"),
            BarColumn(bar_width=28),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.description}"),
            console=console,
        )
        self._listening = listening(self._on_event)

    def __enter__(self) -> SongProgress:
        self._console.print(f"[bold]{escape(shown(self._title))}[/]")
        if self._live:
            self._progress.start()
        self._listening.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._listening.__exit__(kind, value, trace)
        if self._live:
            self._progress.stop()

    def _on_event(self, event: StepEvent) -> None:
        with self._lock:
            (self._draw if self._live else self._print)(event)

    def _draw(self, event: StepEvent) -> None:
        if event.step not in self._bars:
            self._bars[event.step] = self._progress.add_task("", total=1.0, name=title_of(event.step))
        bar = self._bars[event.step]
        if event.kind == "failed":
            self._progress.update(bar, description=f"[red]{escape(shown(event.message[:80]))}")
            self._progress.stop_task(bar)
        else:
            self._progress.update(bar, completed=event.fraction or 0.0, description=escape(shown(event.message)))

    def _print(self, event: StepEvent) -> None:
        name = title_of(event.step)
        if event.kind == "started":
            self._started[event.step] = time.monotonic()
        elif event.kind == "finished":
            took = f"{time.monotonic() - self._started[event.step]:.1f} s" if event.step in self._started else ""
            self._console.print(f"  {name}: {escape(shown(event.message)) or 'done'} {took}".rstrip(), soft_wrap=True)
        elif event.kind == "failed":
            self._console.print(f"  {name}: FAILED", soft_wrap=True)


def print_summary(console: Console, song_map: SongMap, folder: str) -> None:
    """The song at a glance, and where its files are."""
    from tasks.packager.summary import summary_lines

    console.print()
    for name, text in summary_lines(song_map):
        console.print(f"[bold]{name:<10}[/] {escape(text)}", soft_wrap=True)
    folder = shown(folder)
    cached = [step for _, step in song_map.steps if step.cached]
    if cached and len(cached) == sum(1 for _, step in song_map.steps if step.status not in ("skipped", "failed")):
        console.print("[bold]cache     [/] every step was answered from the cache", soft_wrap=True)
    console.print(f"[bold]files     [/] {escape(folder)}/{MAP_NAME}", soft_wrap=True)
    if song_map.stems:
        console.print(f"           {escape(folder)}/{STEMS_FOLDER}/", soft_wrap=True)
    for warning in song_map.steps.ingest.warnings:
        console.print(f"[yellow]file      [/] {escape(shown(warning))}", soft_wrap=True)
    for name, step in song_map.steps:
        if step.reasons:
            models = ", ".join(model.name for model in step.models)
            instead = f"{step.engine}{f' ({models})' if models else ''} instead: " if step.status == "degraded" else ""
            more = f" (and {len(step.reasons) - 1} more: see the map)" if len(step.reasons) > 1 else ""
            console.print(f"[yellow]{step.status:<10}[/] {name}: {escape(shown(instead + step.reasons[0]))}{more}", soft_wrap=True)


def print_error(console: Console, error: PerformiaError) -> None:
    """A named error, on one line: its code, what happened, what to do."""
    console.print(f"[red]{error.code}[/]: {escape(shown(f'{error.what}. {error.what_to_do}.'))}", soft_wrap=True)
