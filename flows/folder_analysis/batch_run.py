"""One run over a folder of songs: which of them need analysis, how each went, and what is written down of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Completed

from flows.folder_analysis.entries import failed_entry, map_entry, recipe_of, skipped_entry, summarize
from flows.folder_analysis.manifest import Manifest
from flows.folder_analysis.page import FolderArtifacts
from flows.folder_analysis.request import BatchRequest
from flows.folder_analysis.song_pool import in_parallel
from flows.run.endings import refuse_if_strict
from flows.run.unreachable import named
from flows.song_analysis import STEP_TASKS, analyze_song
from flows.song_files import SongFile, SongFolder
from schemas.batch import BatchSummary, SongEntry
from schemas.options import AnalysisOptions
from schemas.plan import AnalysisPlan
from schemas.results import digest_of
from tasks.common.errors import AllSongsFailed, StorageError
from tasks.common.memory import GIB, MemoryBudget, base_bytes, default_at_once, default_budget_bytes, return_free_memory, song_bytes
from tasks.common.orchestration.prefect_private import apart
from tasks.common.planning import make_plan
from tasks.common.resources import import_torch
from tasks.common.settings import get_settings
from tasks.ingest.checks import refuse_outside
from tasks.ingest.container import declared_length
from tasks.ingest.file_names import as_text, with_text_name
from tasks.ingest.lyrics_files import with_lyrics_beside
from tasks.packager.folder import safe_name

logger = logging.getLogger(__name__)


class BatchWatcher:
    """Whoever wants to see how a batch goes overrides these. They are called from the threads of the songs too."""

    def began(self, kept: list[SongEntry], found: SongFolder, at_once: int) -> None:
        """kept: finished by an earlier start."""

    def song_started(self, song: SongFile, run: str) -> None:
        """run: id of its flow run, by which the events of its steps are known."""

    def song_ended(self, song: SongFile, entry: SongEntry) -> None: ...

    def ended(self, summary: BatchSummary) -> None: ...


_watcher: ContextVar[BatchWatcher] = ContextVar("batch-watcher")


@contextmanager
def watched_by(watcher: BatchWatcher) -> Iterator[None]:
    """Batches that start while the block runs tell this watcher how they go."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@task(
    name="song",
    task_run_name="{name}",
    cache_policy=NO_CACHE,  # what is worth caching is cached inside
    persist_result=False,
)
def one_song(name: str, analyse: Callable[[], SongEntry]) -> SongEntry:  # noqa: ARG001 (Prefect: the template of the run's name reads it)
    """One song of a batch, as a task of the folder's run.

    Within a task, the song's own run gets an identity of its own (PrefectHQ/prefect#22286). Prefect else knows it by its place in the order
    of starting, and would take it for another song's when a folder's run is run again.
    """
    return analyse()


@dataclass
class BatchRun:
    """Everything about one run over a folder. Made by `prepare`."""

    folder: Path
    options: AnalysisOptions
    output_dir: Path
    found: SongFolder
    recipe: str
    budget_bytes: int
    base_bytes: int
    at_once: int
    manifest: Manifest
    watcher: BatchWatcher
    kept: list[SongEntry] = field(default_factory=list)
    entries: list[SongEntry] = field(default_factory=list)
    _under_way: dict[str, SongFile] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def prepare(cls, request: BatchRequest) -> BatchRun:
        """Look for the songs and the manifest. Raises FolderError, and StorageError where the manifest cannot be written."""
        refuse_outside(request.folder, get_settings())
        request = replace(request, folder=request.folder.absolute())
        options, target = request.options, request.target
        found = request.songs()
        plan = make_plan(options)
        refuse_if_strict(plan, options)
        budget = int(request.memory_budget_gib * GIB) if request.memory_budget_gib else default_budget_bytes()
        base = base_bytes(plan)
        manifest = Manifest(target)
        manifest.write()
        return cls(
            folder=request.folder,
            options=options,
            output_dir=target,
            found=found,
            recipe=_recipe(options, plan),
            budget_bytes=budget,
            base_bytes=base,
            at_once=request.at_once or default_at_once(budget, base),
            manifest=manifest,
            watcher=_watcher.get(BatchWatcher()),
        )

    def run(self) -> BatchSummary:
        """Analyse what is not finished yet."""
        started = time.monotonic()
        artifacts = FolderArtifacts(self.folder)
        waiting = self._sort_out()
        self.watcher.began(self.kept, self.found, self.at_once)
        total = len(self.found.songs)
        artifacts.show_progress(len(self.kept), total)
        try:
            if waiting and self.at_once > 1:
                import_torch()
            budget = MemoryBudget(self.budget_bytes - self.base_bytes, self.at_once)
            for entry in in_parallel(waiting, self._analyse, self._bytes_needed, budget, tick=self._save):
                return_free_memory()
                self.entries.append(entry)
                self.manifest.put(entry)
                self._save()
                artifacts.show_progress(len(self.kept) + len(self.entries), total)
        except BaseException:  # stopped by a person or by the system: what is finished stays finished
            with suppress(StorageError):
                self.manifest.write()
            self._cancel_songs()
            with suppress(Exception):  # who watches has what is finished
                self.watcher.ended(self._summary(time.monotonic() - started))
            raise
        self.manifest.write()
        summary = self._summary(time.monotonic() - started)
        self.watcher.ended(summary)
        artifacts.show_table(summary, [*self.entries, *self.kept, *map(skipped_entry, self.found.skipped)])
        return summary

    def _sort_out(self) -> list[SongFile]:
        """The songs that need analysis; the others are kept."""
        waiting = []
        for song in self.found.songs:
            entry = self.manifest.finished(song, self._recipe_of(song))
            if entry is None:
                waiting.append(song)
            else:
                self.kept.append(entry)
        for skipped in self.found.skipped:
            self.manifest.put(skipped_entry(skipped))
        return waiting

    def _analyse(self, song: SongFile) -> SongEntry:
        """Run the analysis of one song; it may fail in any way. Called in the song's thread."""
        started = time.monotonic()
        run = FlowRunContext.get()
        assert run is not None
        try:
            with apart(run):
                entry = one_song(as_text(song.path.name), lambda: self._map(song, started))
        except Exception as error:
            logger.info("%s failed", song.path, exc_info=True)
            entry = failed_entry(song, named(error), time.monotonic() - started, self._recipe_of(song))
        with self._guard:
            self._under_way = {run: other for run, other in self._under_way.items() if other is not song}
        try:
            self.watcher.song_ended(song, entry)
        except Exception:
            logger.warning("a watcher failed", exc_info=True)
        return entry

    def _map(self, song: SongFile, started: float) -> SongEntry:
        def tell(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 (Prefect: the signature of a hook)
            with self._guard:
                self._under_way[str(flow_run.id)] = song
            self.watcher.song_started(song, str(flow_run.id))

        told = analyze_song.with_options(on_running=[*analyze_song.on_running_hooks, tell])
        recipe = self._recipe_of(song)  # as the lyrics are now: they may change while the song is analysed
        song_map = told(with_text_name(song.path, get_settings()), with_lyrics_beside(song.path, self.options), self._target(song))
        return map_entry(song, song_map, self.output_dir, time.monotonic() - started, recipe)

    def _recipe_of(self, song: SongFile) -> str:
        """The batch's recipe and the lyrics beside the song: with other words it is analysed again."""
        words = with_lyrics_beside(song.path, self.options).given_lyrics
        return self.recipe if words is None else digest_of({"recipe": self.recipe, "lyrics": words})[:16]

    def _target(self, song: SongFile) -> Path:
        """The folder that gets the song's: the song's own, below the output folder, with names that every file system takes."""
        return self.output_dir.joinpath(*(safe_name(as_text(part)) for part in song.path.relative_to(self.folder).parent.parts))

    def _bytes_needed(self, song: SongFile) -> int:
        return song_bytes(declared_length(song.path, self.options.track))

    def _save(self) -> None:
        try:
            self.manifest.write_if_due()
        except StorageError as error:  # the next song tries again; only the last word must be written
            logger.warning("%s", error)

    def _cancel_songs(self) -> None:
        """Say at the server that the songs under way were stopped: their threads end with the process."""
        with self._guard:
            runs = list(self._under_way)
        with suppress(Exception), get_client(sync_client=True) as client:
            for run in runs:
                client.set_flow_run_state(UUID(run), Cancelled(message="The folder's run was stopped."), force=True)

    def _summary(self, seconds: float) -> BatchSummary:
        start = BatchSummary(
            folder=as_text(self.folder),
            output_dir=as_text(self.output_dir),
            manifest=as_text(self.manifest.path),
            songs=len(self.found.songs),
            skipped=len(self.found.skipped),
            at_once=self.at_once,
            memory_budget_gib=round(self.budget_bytes / GIB, 2),
        )
        return summarize(start, self.entries, self.kept, seconds)


def end_state(summary: BatchSummary) -> Any:
    """The summary, or a state named Partial that carries it where songs failed. Raises AllSongsFailed."""
    if summary.failed == summary.songs:
        raise AllSongsFailed(f"None of the {summary.songs} songs in {summary.folder} could be analysed; {summary.manifest} says why")
    if summary.failed or summary.partial:
        message = f"{summary.failed} of {summary.songs} songs failed, {summary.partial} are partial"
        return Completed(name="Partial", message=message, data=summary)
    return summary


def _recipe(options: AnalysisOptions, plan: AnalysisPlan) -> str:
    return recipe_of(options, plan, {name: task.code_version or 0 for name, task in STEP_TASKS.items()})
