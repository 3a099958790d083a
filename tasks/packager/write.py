"""Writing a song's folder: the stems, then the Song Map; or, where the map is invalid, what the steps found and what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from schemas.corrections import Corrections
from schemas.results import Chords, StemSet, StepResult
from schemas.song_folder import (
    CORRECTIONS_NAME,
    HEARD_CHORDS_NAME,
    INVALID_FOLDER,
    MACHINE_MAP_NAME,
    MAP_NAME,
    PROBLEMS_NAME,
    REPORT_NAME,
    TIMELINE_NAME,
    result_name,
)
from schemas.song_map import SongMap
from schemas.sound_format import SoundFormat
from tasks.common.errors import StorageError
from tasks.common.step import StepContext
from tasks.common.storage.atomic import atomic_write
from tasks.corrections.log import grid_corrections
from tasks.packager.folder import claim_folder, release_claim
from tasks.packager.join import stem_files
from tasks.packager.stems import other_forms, remove_files, write_stems
from tasks.packager.step_results import StepResults, describe
from tasks.packager.timeline import timeline_svg
from tasks.packager.validation import Problem


@dataclass(frozen=True)
class Beside:
    """What lies beside a corrected map: the machine's own, what persons put right, and the chords that other beats need (see `apply`)."""

    machine: SongMap
    log: Corrections
    heard: Chords | None = None


def write_song(
    song_map: SongMap, stems: StemSet | None, sound_format: SoundFormat, out_dir: Path, ctx: StepContext, beside: Beside | None = None
) -> SongMap:
    """Write a valid map, and the stems if there are any, into the song's folder below `out_dir`; return the map as it was written.

    The stems come first: where there is a map, what it refers to is there. Each file appears whole. What the map says of the stems' files
    is added to it; files that an earlier run wrote of the same stems in other formats go last. Raises StorageError.
    """
    with _storage_errors(out_dir):
        folder = claim_folder(out_dir, song_map.source.file_name, song_map.id)
        if stems is not None:
            song_map = write_stems(song_map, stem_files(stems), sound_format, folder, ctx)
            if beside is not None:
                files = {"stems": song_map.stems, "stems_gain_db": song_map.stems_gain_db}
                beside = replace(beside, machine=beside.machine.model_copy(update=files))
        replaced = other_forms(song_map, folder)
        write_map(folder, song_map, beside)
        release_claim(folder, song_map.id)
        remove_files(replaced)
        # The report of an earlier run's invalid map would mislead.
        shutil.rmtree(folder / INVALID_FOLDER, ignore_errors=True)
    ctx.progress(1.0, "written")
    return song_map.written_to(folder)


def write_map(folder: Path, song_map: SongMap, beside: Beside | None = None) -> None:
    """Write a valid map into its folder, the map last: whoever sees it finds what lies beside it. Raises OSError."""
    if beside is not None:
        atomic_write(folder / CORRECTIONS_NAME, beside.log.to_json().encode("utf-8"))
        atomic_write(folder / MACHINE_MAP_NAME, beside.machine.to_json().encode("utf-8"))
    if beside is not None and beside.heard is not None and grid_corrections(beside.machine.id, beside.log.operations):
        atomic_write(folder / HEARD_CHORDS_NAME, beside.heard.model_dump_json().encode("utf-8"))
    atomic_write(folder / TIMELINE_NAME, timeline_svg(song_map).encode("utf-8"))
    atomic_write(folder / MAP_NAME, song_map.to_json().encode("utf-8"))
    if beside is None:
        # Of an earlier map, which nobody corrects any more.
        for name in (MACHINE_MAP_NAME, HEARD_CHORDS_NAME):
            (folder / name).unlink(missing_ok=True)


def write_report(song_id: str, file_name: str, results: StepResults, problems: list[Problem], out_dir: Path) -> Path:
    """Keep what the steps found, and every problem of the map, in `invalid` in the song's folder; return it. Raises StorageError."""
    with _storage_errors(out_dir):
        song_folder = claim_folder(out_dir, file_name, song_id)
        folder = song_folder / INVALID_FOLDER
        shutil.rmtree(folder, ignore_errors=True)
        for step, ended in results.items():
            if isinstance(ended, StepResult):
                atomic_write(folder / result_name(step), ended.model_dump_json(indent=1).encode("utf-8"))
        failed = {step: describe(ended) for step, ended in results.items() if isinstance(ended, BaseException)}
        report = {"id": song_id, "file_name": file_name, "problems": [asdict(problem) for problem in problems], "failed_steps": failed}
        atomic_write(folder / PROBLEMS_NAME, "".join(f"{problem}\n" for problem in problems).encode("utf-8", "replace"))
        atomic_write(folder / REPORT_NAME, (json.dumps(report, indent=1) + "\n").encode("ascii"))
        release_claim(song_folder, song_id)
    return folder


@contextmanager
def _storage_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"Could not write to {error.filename or place}: {reason}", "Check the disk and the folder's permissions"
        ) from error
