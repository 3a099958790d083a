"""`performia analyze --server URL`: songs one after the other at a service; each comes back as the folder that is written without one."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

from deployments.api.client import Client, song_of
from deployments.cli.console import SongProgress, print_error, print_summary
from deployments.cli.endings import SongEnding, as_named, failed, printed
from deployments.cli.export import ExportRequest, exports_beside
from deployments.terminal import error_console
from schemas.api.jobs import JobEvent, StepState
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions
from schemas.song_folder import MAP_NAME
from tasks.common.errors import ApiUnreachable, PerformiaError
from tasks.common.progress import StepEvent, publish, reporter
from tasks.export.song import Song
from tasks.ingest.file_names import as_text
from tasks.ingest.lyrics_files import with_lyrics_beside

UPLOAD = "upload"
DOWNLOAD = "download"
_INTERRUPTED = 130


def analyze_at_server(
    client: Client,
    songs: list[Path],
    output: Path,
    options: AnalysisOptions,
    as_json: bool,
    debug: bool,
    corrections: Corrections | None = None,
    export: ExportRequest | None = None,
) -> int:
    """Have the songs analysed and return the exit code: 0, or 1 if any failed or an export could not be written, 130 if interrupted."""
    command = _Command(client, output, options, debug, corrections, export)
    try:
        with printed(command.endings, as_json):
            command.run(songs)
    except KeyboardInterrupt:
        command.stop()
        return _INTERRUPTED
    return 1 if any(ending.is_bad for ending in command.endings) else 0


class _Command:
    """One command. `endings` gets one after the other how the songs went."""

    def __init__(
        self,
        client: Client,
        output: Path,
        options: AnalysisOptions,
        debug: bool,
        corrections: Corrections | None,
        export: ExportRequest | None,
    ):
        self.console = error_console()
        self.endings: list[SongEnding] = []
        self._client = client
        self._output = output
        self._options = options
        self._debug = debug
        self._corrections = corrections
        self._export = export
        #: The job that this command has begun and that has not ended.
        self._begun: str | None = None

    def run(self, songs: list[Path]) -> None:
        for song in songs:
            started = time.monotonic()
            try:
                self._analyze(song)
            except Exception as problem:  # noqa: BLE001 (also a fault of ours stops one song alone)
                error = as_named(problem)
                if self._debug:
                    self.console.print_exception()
                print_error(self.console, error)
                self.endings.append(failed(as_text(song), error, started))
                if isinstance(error, ApiUnreachable):  # of every further song it would be said again, after the same wait
                    self.endings += [failed(as_text(other), error, time.monotonic()) for other in songs[songs.index(song) + 1 :]]
                    return

    def stop(self) -> None:
        """Interrupted: a job of this command is cancelled at the service. One that was there before may be another's, and goes on."""
        if self._begun is None:
            self.console.print("\nStopped.")
            return
        try:
            self._client.cancel(self._begun)
            self.console.print("\nStopped, and cancelled at the service. Finished steps are kept: the same command goes on from there.")
        except PerformiaError as error:
            self.console.print("\nStopped here. The job could not be cancelled:")
            print_error(self.console, error)

    def _analyze(self, song: Path) -> None:
        started = time.monotonic()
        with SongProgress(self.console, song.name):
            publish(StepEvent("", UPLOAD, "started"))
            sent = self._client.send(song, with_lyrics_beside(song, self._options), reporter("", UPLOAD), self._corrections)
            publish(StepEvent("", UPLOAD, "finished", 1.0, "" if sent.new else "the service has this song already"))
            self._begun = sent.job.id if sent.new else None
            song_id = self._followed(sent.job.id)
            self._begun = None
            publish(StepEvent("", DOWNLOAD, "started"))
            song_map = self._client.download(song_id, self._output.resolve(), as_text(song.name), reporter("", DOWNLOAD))
            publish(StepEvent("", DOWNLOAD, "finished", 1.0))
        folder = song_map.folder
        assert folder is not None
        print_summary(self.console, song_map, os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder))
        exports = exports_beside(self.console, Song(song_map, folder), self._export) if self._export else ()
        seconds = round(time.monotonic() - started, 2)
        self.endings.append(SongEnding(as_text(song), song_map.status, seconds, song_map=as_text(folder / MAP_NAME), exports=exports))

    def _followed(self, job_id: str) -> str:
        """The id of the song, once the job has ended. Its steps are shown as those of this machine are."""
        shown: set[str] = set()
        with closing(self._client.events(job_id)) as events:
            for event in events:
                if event.type == "ended" and event.job is not None:
                    return song_of(event.job)
                show(event, shown)
        return song_of(self._client.job(job_id))


def show(event: JobEvent, begun: set[str]) -> None:
    """Tell whoever listens on this machine what a step does at the service. begun: the steps that were told of; the step joins it."""
    step = event.step
    if step is None or (step.state is StepState.queued and step.name not in begun and not step.message):
        return
    if step.name not in begun:
        begun.add(step.name)
        publish(StepEvent(event.job_id, step.name, "started"))
    if step.state in (StepState.done, StepState.cached):
        publish(StepEvent(event.job_id, step.name, "finished", 1.0, "cached" if step.state is StepState.cached else ""))
    elif step.state is StepState.failed:
        publish(StepEvent(event.job_id, step.name, "failed", message=step.message))
    else:
        publish(StepEvent(event.job_id, step.name, "progress", step.progress, step.message))
