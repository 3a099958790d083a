"""`performia analyze`: songs one after the other, each in its own Prefect run; a bad song does not stop the next."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from deployments.cli.console import SongProgress, print_error, print_summary
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from deployments.terminal import error_console
from flows.run.unreachable import leave_at_once, named
from schemas.options import AnalysisOptions
from schemas.song_folder import MAP_NAME
from tasks.common.errors import ApiUnreachable, PerformiaError
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sweep_scratch
from tasks.ingest.checks import refuse_early
from tasks.ingest.head_start import HeadStart, look_at


@dataclass(frozen=True)
class SongEnding:
    """How one song went, as `--json` prints it."""

    song: str
    status: str
    seconds: float
    song_map: str | None = None
    code: str | None = None
    error: str | None = None


def analyze_songs(songs: list[Path], output: Path, options: AnalysisOptions, as_json: bool, debug: bool) -> int:
    """Analyse the songs and return the exit code: 0, or 1 if any song failed, 130 if interrupted."""
    console = error_console()
    quiet_prefect()
    endings: list[SongEnding] = []
    good: list[Path | HeadStart] = []
    flow = FlowLoader(options)
    api = EmbeddedApi.of_settings()
    for song in songs:
        try:
            refuse_early(song, get_settings())
            if good:
                good.append(song)
            else:
                api.begin()
                good.append(_decoded(song, flow))
                flow.load_engine()
        except PerformiaError as error:
            print_error(console, error)
            endings.append(SongEnding(str(song), "failed", 0.0, code=error.code, error=str(error)))
    try:
        if good:
            with api:
                endings += [_analyze_one(song, output, options, console, debug) for song in good]
        else:
            api.abandon()
    except PerformiaError as error:  # the API does not start
        print_error(console, error)
        endings += [SongEnding(str(_path(song)), "failed", 0.0, code=error.code, error=str(error)) for song in good]
    except KeyboardInterrupt:
        # Native code in worker threads cannot be interrupted; what is finished is in the cache, and the API has been stopped in order.
        console.print("\nStopped. Finished steps are kept: the same command goes on from there.")
        os._exit(130)
    if as_json:
        print(json.dumps([asdict(ending) for ending in endings], indent=1, ensure_ascii=False))
    if any(ending.code == ApiUnreachable.code for ending in endings):
        leave_at_once(1)
    code = 1 if any(ending.status == "failed" for ending in endings) else 0
    if flow.is_loading():  # Python cannot end in order while a thread imports, and a refused song is not worth the wait
        leave_at_once(code)
    return code


def _analyze_one(wanted: Path | HeadStart, output: Path, options: AnalysisOptions, console: Console, debug: bool) -> SongEnding:
    """wanted: a song that was not refused, with its head start if it has one."""
    from flows.song_analysis import analyze_song

    song = _path(wanted)
    started = time.monotonic()
    try:
        with SongProgress(console, song.name), (wanted if isinstance(wanted, HeadStart) else look_at(song)).handed_on():
            song_map = analyze_song(song, options, output.resolve())
    except Exception as problem:
        error = named(problem)
        if not isinstance(error, PerformiaError):
            raise
        if debug:
            console.print_exception()
        print_error(console, error)
        return SongEnding(str(song), "failed", round(time.monotonic() - started, 2), code=error.code, error=str(error))
    folder = song_map.folder
    assert folder is not None
    print_summary(console, song_map, os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder))
    return SongEnding(str(song), song_map.status, round(time.monotonic() - started, 2), song_map=str(folder / MAP_NAME))


def _path(wanted: Path | HeadStart) -> Path:
    return wanted.path if isinstance(wanted, HeadStart) else wanted


def _decoded(song: Path, flow: FlowLoader) -> HeadStart:
    """Decode a song while the API starts, which takes longer: a bad one is told sooner. One in the cache has been decoded before.

    For later songs the API is up, and the ingest step says the same as fast. Raises AudioError, StorageError.
    """
    from tasks.common.orchestration.keys import is_kept
    from tasks.common.step import local_context
    from tasks.ingest.ingest import VERSION, ingest_song

    sweep_scratch()
    known = look_at(song)
    if is_kept("ingest", VERSION, identity=known.sha256):
        import flows.song_analysis  # noqa: F401 (while the API starts)

        return known
    flow.start()
    with local_context() as ctx:
        return replace(known, source=ingest_song(song, ctx, known.sha256, known))


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
