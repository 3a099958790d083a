"""Writing a song's folder: the stems, then the Song Map; or, where the map is invalid, what the steps found and what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas.corrections import Corrections
from schemas.results import AudioRef, Chords, StemSet, StepResult
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
    stem_path,
)
from schemas.song_map import SongMap
from tasks.common.errors import StorageError
from tasks.common.step import StepContext
from tasks.common.storage.atomic import atomic_write, copy_atomic
from tasks.corrections.log import grid_corrections
from tasks.packager.folder import claim_folder, release_claim
from tasks.packager.join import stem_files
from tasks.packager.step_results import StepResults, describe
from tasks.packager.timeline import timeline_svg
from tasks.packager.validation import Problem


@dataclass(frozen=True)
class Beside:
    """What lies beside a corrected map: the machine's own, what persons put right, and the chords that other beats need (see `apply`)."""

    machine: SongMap
    log: Corrections
    heard: Chords | None = None


def write_song(song_map: SongMap, stems: StemSet | None, out_dir: Path, ctx: StepContext, beside: Beside | None = None) -> Path:
    """Write a valid map, and the stems if there are any, into the song's folder below `out_dir`; return that folder.

    The stems come first: where there is a map, what it refers to is there. Each file appears whole. Raises StorageError.
    """
    with _storage_errors(out_dir):
        folder = claim_folder(out_dir, song_map.source.file_name, song_map.id)
        if stems is not None:
            _write_stems(stems, folder, ctx)
        write_map(folder, song_map, beside)
        release_claim(folder, song_map.id)
        # The report of an earlier run's invalid map would mislead.
        shutil.rmtree(folder / INVALID_FOLDER, ignore_errors=True)
    ctx.progress(1.0, "written")
    return folder


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


def _write_stems(stems: StemSet, folder: Path, ctx: StepContext) -> None:
    """Write those that are not there yet, two at once."""
    files = stem_files(stems)
    written = _stems_of_map(folder / MAP_NAME)

    def write(name: str, ref: AudioRef) -> None:
        target = folder / stem_path(name)
        source = ctx.store.path(ref)
        if written.get(name) != ref.sha256 or not _is_older(target, folder / MAP_NAME) or target.stat().st_size != source.stat().st_size:
            copy_atomic(source, target)

    with ThreadPoolExecutor(2) as pool:
        for place, _ in enumerate(pool.map(write, files.keys(), files.values())):
            ctx.progress(0.1 + 0.8 * (place + 1) / len(files), f"{place + 1} of {len(files)} stems")


def _stems_of_map(file: Path) -> dict[str, Any]:
    """{name: hash} of the stems that an earlier map in the folder vouches for."""
    try:
        return {stem["name"]: stem["sha256"] for stem in json.loads(file.read_text(encoding="utf-8"))["stems"] if stem["path"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _is_older(stem: Path, song_map: Path) -> bool:
    """Whether a stem is there and was not written after the map: then the map's hash is the stem's."""
    return stem.is_file() and stem.stat().st_mtime_ns <= song_map.stat().st_mtime_ns


@contextmanager
def _storage_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"Could not write to {error.filename or place}: {reason}", "Check the disk and the folder's permissions"
        ) from error
