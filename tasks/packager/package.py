"""The last step: join, validate, write."""

from __future__ import annotations

import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schemas.corrections import Corrections
from schemas.options import AnalysisOptions
from schemas.results import Chords, StemSet
from schemas.song_map import SongMap
from schemas.steps import StepName
from tasks.common.errors import SongMapInvalid
from tasks.common.step import StepContext
from tasks.corrections.kept import alone_with, read_log, write_log
from tasks.corrections.log import joined as one_log
from tasks.packager.corrected import corrected
from tasks.packager.folder import folder_of
from tasks.packager.join import join_song_map
from tasks.packager.step_results import StepResults, result_of
from tasks.packager.validation import Problem, validate
from tasks.packager.write import Beside, write_report, write_song

__all__ = ["StepName", "package"]

_PROBLEMS_IN_ERROR = 3


def package(
    results: StepResults, file_name: str, out_dir: Path, options: AnalysisOptions, ctx: StepContext, log: Corrections | None = None
) -> SongMap:
    """Join the results of a run into a Song Map, check it, and write the song's folder into `out_dir`; the map knows its folder.

    log: what persons put right, which the map has; the machine's own map then lies beside it.

    Raises ingest's own error, RequiredStepFailed where another required step failed, StorageError, and SongMapInvalid: then no map is
    written, and the steps' results and the report of the problems lie in the song's folder, in `invalid`.
    """
    stems = result_of(results.get("separation"), StemSet) if options.stems else None
    joined = join_song_map(
        results, file_name, options, ctx.flow_run, with_stems=stems is not None, performia=_own_version(), created=_now()
    )
    document = joined.model_dump(mode="json", exclude_unset=True, warnings=False)
    problems = validate(document)
    if problems:
        raise _refused(problems, write_report(document["id"], file_name, results, problems, out_dir))
    ctx.progress(0.1, "writing")
    machine = SongMap.model_validate_json(joined.to_json())
    with alone_with(ctx.settings, machine.id):
        # More may have been said since the run began.
        log = one_log(machine.id, log, read_log(ctx.settings, machine.id, folder_of(out_dir, file_name, machine.id)))
        if not log.operations:
            return write_song(machine, stems, options.stems_format, out_dir, ctx)
        heard = result_of(results.get("chords"), Chords)
        made = corrected(machine, log, heard).song_map
        song_map = SongMap.model_validate_json(made.to_json())
        written = write_song(song_map, stems, options.stems_format, out_dir, ctx, Beside(machine, log, heard))
        write_log(ctx.settings, log)
    return written


def _refused(problems: list[Problem], report: Path) -> SongMapInvalid:
    lines = tuple(str(problem) for problem in problems)
    more = len(lines) - _PROBLEMS_IN_ERROR
    shown = "; ".join(lines[:_PROBLEMS_IN_ERROR]) + (f"; and {more} more" if more > 0 else "")
    return SongMapInvalid(f"The Song Map has {len(lines)} problems ({shown})", lines, f"See {report}, and please report this with the file")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _own_version() -> str:
    try:
        return version("performia")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
