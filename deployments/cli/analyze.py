"""`performia analyze`: songs one after the other, each in its own Prefect run; a bad song does not stop the next."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deployments.cli.console import SongProgress, print_error, print_summary
from deployments.cli.endings import SongEnding, as_named, failed, printed
from deployments.cli.export import ExportRequest, exports_beside
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console, shown
from flows.run.unreachable import leave_at_once, named
from schemas.corrections import Corrections
from schemas.options import AnalysisOptions, Reading
from schemas.song_folder import MAP_NAME
from tasks.common.errors import ApiUnreachable, OptionInvalid, PerformiaError
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sweep_scratch
from tasks.export.song import Song
from tasks.ingest.checks import refuse_early
from tasks.ingest.file_names import as_text, with_text_name
from tasks.ingest.head_start import HeadStart, look_at
from tasks.ingest.lyrics_files import with_lyrics_beside


def analyze_songs(
    songs: list[Path],
    output: Path,
    options: AnalysisOptions,
    as_json: bool,
    debug: bool,
    corrections: Corrections | None = None,
    export: ExportRequest | None = None,
) -> int:
    """Analyse the songs and return the exit code: 0, or 1 if any song failed or an export could not be written, 130 if interrupted.

    corrections: what persons put right in the one song.
    """
    given = corrections.model_dump(mode="json") if corrections is not None else None
    quiet_prefect()
    command = _Command(output, options, debug, given, export)
    try:
        with printed(command.endings, as_json):
            command.run(songs)
    except KeyboardInterrupt:
        # Native code in worker threads cannot be interrupted; what is finished is in the cache, and the API has been stopped in order.
        command.console.print("\nStopped. Finished steps are kept: the same command goes on from there.")
        os._exit(130)
    if any(ending.code == ApiUnreachable.code for ending in command.endings):
        leave_at_once(1)
    code = 1 if any(ending.is_bad for ending in command.endings) else 0
    if command.flow.is_loading():  # Python cannot end in order while a thread imports, and a refused song is not worth the wait
        leave_at_once(code)
    return code


class _Command:
    """One command: songs one after the other. `endings` gets one after the other how they went."""

    def __init__(
        self, output: Path, options: AnalysisOptions, debug: bool, corrections: dict[str, Any] | None, export: ExportRequest | None
    ):
        self._corrections = corrections
        self.console = error_console()
        self.endings: list[SongEnding] = []
        self.flow = FlowLoader(options)
        self._output = output
        self._options = options
        self._debug = debug
        self._export = export

    def run(self, songs: list[Path]) -> None:
        good: list[Path | HeadStart] = []
        api = EmbeddedApi.of_settings()
        for song in songs:
            with self._told(song):
                refuse_early(song, get_settings(), self._options.reading)
                if good:
                    good.append(song)
                else:
                    api.begin()
                    good.append(_decoded(song, self.flow, self._options.reading))
                    self.flow.load_engine()
        if not good:
            api.abandon()
            return
        try:
            with api:
                for wanted in good:
                    with self._told(_path(wanted)):
                        self._analyze(wanted)
        except PerformiaError as error:  # the API does not start, or does not stop in order
            ended = {ending.song for ending in self.endings}
            print_error(self.console, error)
            self.endings += [
                SongEnding(name, "failed", 0.0, code=error.code, error=shown(error))
                for name in (as_text(_path(song)) for song in good)
                if name not in ended
            ]

    def _analyze(self, wanted: Path | HeadStart) -> None:
        """wanted: a song that was not refused, with its head start if it has one."""
        from flows.song_analysis import analyze_song

        song = _path(wanted)
        started = time.monotonic()
        readable = with_text_name(song, get_settings())
        known = replace(wanted, path=readable) if isinstance(wanted, HeadStart) else look_at(readable)
        with SongProgress(self.console, song.name), known.handed_on():
            options = with_lyrics_beside(song, self._options)
            _refuse_too_long(options, self._corrections)
            song_map = analyze_song(readable, options, self._output.resolve(), corrections=self._corrections)
        folder = song_map.folder
        assert folder is not None
        print_summary(self.console, song_map, os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder))
        exports = exports_beside(self.console, Song(song_map, folder), self._export) if self._export else ()
        seconds = round(time.monotonic() - started, 2)
        self.endings.append(SongEnding(as_text(song), song_map.status, seconds, song_map=as_text(folder / MAP_NAME), exports=exports))

    @contextmanager
    def _told(self, song: Path) -> Iterator[None]:
        """What stops a song, of whatever kind, is told, and does not stop the next."""
        started = time.monotonic()
        try:
            yield
        except Exception as problem:  # noqa: BLE001 (also a fault of ours stops one song alone)
            error = as_named(named(problem))
            if self._debug:
                self.console.print_exception()
            print_error(self.console, error)
            self.endings.append(failed(as_text(song), error, started))


def _refuse_too_long(options: AnalysisOptions, corrections: dict[str, Any] | None) -> None:
    """Raises OptionInvalid."""
    from flows.run.parameters import too_long

    if what := too_long({"options": options.model_dump(mode="json"), "corrections": corrections}):
        raise OptionInvalid(what, "Analyse the song with less of them, and put it right afterwards: `performia correct SONG import FILE`")


def _path(wanted: Path | HeadStart) -> Path:
    return wanted.path if isinstance(wanted, HeadStart) else wanted


def _decoded(song: Path, flow: FlowLoader, reading: Reading) -> HeadStart:
    """Decode a song while the API starts, which takes longer: a bad one is told sooner. One in the cache has been decoded before.

    For later songs the API is up, and the ingest step says the same as fast. Raises AudioError, StorageError.
    """
    from tasks.common.orchestration.keys import is_kept
    from tasks.common.step import local_context
    from tasks.ingest.ingest import VERSION, ingest_song

    sweep_scratch()
    known = look_at(song)
    if is_kept("ingest", VERSION, identity=known.sha256, **reading.model_dump()):
        import flows.song_analysis  # noqa: F401 (while the API starts)

        return known
    flow.start()
    with local_context() as ctx:
        return replace(known, source=ingest_song(song, ctx, known.sha256, known, reading), reading=reading)


class FlowLoader:
    """A thread that imports the flow, and then what separates. Importing Prefect takes as long as decoding a song: both go on at once."""

    def __init__(self, options: AnalysisOptions):
        self._options = options
        self._decoded = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to import, unless it has begun."""
        if self._thread.ident is None:
            self._thread.start()

    def load_engine(self) -> None:
        """A song is decoded: what separates may be loaded. Loading imports torch, and decoding uses SciPy, which fails meanwhile: see
        `import_torch`.
        """
        self._decoded.set()

    def is_loading(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        import flows.song_analysis  # noqa: F401
        from tasks.common.planning import make_plan
        from tasks.separation.separate import load_ahead

        self._decoded.wait()
        with suppress(Exception):  # what is wrong is told when the song is analysed
            load_ahead(make_plan(self._options).separation)
