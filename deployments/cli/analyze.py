"""`performia analyze`: songs one after the other, each in its own Prefect run; a bad song does not stop the next."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from deployments.cli.console import SongProgress, error_console, print_error, print_summary
from deployments.server.embedded_api import EmbeddedApi
from deployments.server.prefect_environment import quiet_prefect
from flows.run.unreachable import leave_at_once, named
from schemas.options import AnalysisOptions
from tasks.common.errors import ApiUnreachable, PerformiaError
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sweep_scratch
from tasks.ingest.checks import refuse_early

_IMPORTING = "import of the flow"


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
    good: list[Path] = []
    api = EmbeddedApi(get_settings().data_dir / "logs" / "prefect-api.log")
    for song in songs:
        try:
            refuse_early(song, get_settings())
            if not good:
                api.begin()
                _refuse_after_decoding(song, options)
            good.append(song)
        except PerformiaError as error:
            print_error(console, error)
            endings.append(SongEnding(str(song), "failed", 0.0, code=error.code, error=str(error)))
    try:
        if good:
            with api:
                endings += [_analyze_one(song, output, options, console, debug) for song in good]
        else:
            api.abandon()
    except KeyboardInterrupt:
        # Native code in worker threads cannot be interrupted; what is finished is in the cache, and the API has been stopped in order.
        console.print("\nStopped. Finished steps are kept: the same command goes on from there.")
        os._exit(130)
    if as_json:
        print(json.dumps([asdict(ending) for ending in endings], indent=1, ensure_ascii=False))
    if any(ending.code == ApiUnreachable.code for ending in endings):
        leave_at_once(1)
    return _leave(1 if any(ending.status == "failed" for ending in endings) else 0)


def _analyze_one(song: Path, output: Path, options: AnalysisOptions, console: Console, debug: bool) -> SongEnding:
    from flows.song_analysis import analyze_song

    started = time.monotonic()
    try:
        with SongProgress(console, song.name):
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
    return SongEnding(str(song), song_map.status, round(time.monotonic() - started, 2), song_map=str(folder / "song_map.json"))


def _refuse_after_decoding(song: Path, options: AnalysisOptions) -> None:
    """Raise the song's AudioError now, if it has one: decoding tells sooner than Prefect's API starts. A song in the cache has none.

    For later songs the API is up, and the ingest step says the same as fast.
    """
    from tasks.common.orchestration.keys import is_kept
    from tasks.common.step import local_context
    from tasks.ingest.checks import file_identity
    from tasks.ingest.ingest import VERSION, ingest_ahead

    sweep_scratch()
    if is_kept("ingest", VERSION, identity=file_identity(song)):
        import flows.song_analysis  # noqa: F401 (while the API starts)

        return
    # Importing Prefect takes as long as decoding a song: both at once.
    decoded = threading.Event()
    threading.Thread(target=_prepare, args=(options, decoded), name=_IMPORTING, daemon=True).start()
    try:
        with local_context() as ctx:
            ingest_ahead(song, ctx)
    finally:
        decoded.set()


def _prepare(options: AnalysisOptions, decoded: threading.Event) -> None:
    """Import the flow while the API starts, and load what separates: once the song is decoded, see `import_torch`."""
    import flows.song_analysis  # noqa: F401
    from tasks.common.planning import make_plan
    from tasks.separation.separate import load_ahead

    decoded.wait()
    with suppress(Exception):  # what is wrong is told when the song is analysed
        load_ahead(make_plan(options).separation)


def _leave(code: int) -> int:
    """End with this code. Python cannot end in order while a thread imports, and a refused song is not worth the wait."""
    if any(thread.name == _IMPORTING for thread in threading.enumerate()):
        leave_at_once(code)
    return code
