"""Writing a song's folder: the Song Map and the stems, whole or not at all."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from schemas.results import STEMS, AudioRef, StemSet, StepName, StepResult
from schemas.song_map import SongMap
from tasks.common.errors import SongMapInvalid, StorageError
from tasks.common.storage import ArtifactStore, atomic_write, copy_atomic
from tasks.packager.outcomes import Outcome, describe
from tasks.packager.validation import Problem

MAP_NAME = "song_map.json"
STEMS_FOLDER = "stems"
#: Most file systems allow 255 bytes; a suffix may follow.
_MAX_NAME_BYTES = 180
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10))}


def song_folder(out_dir: Path, file_name: str, song_id: str) -> Path:
    """The folder of a song: named after its file; after its id too where another song of that name is there already."""
    name = safe_name(Path(file_name).stem)
    folder = out_dir / name
    return folder if _song_in(folder) in (None, song_id) else out_dir / f"{name}-{song_id[:8]}"


def safe_name(name: str) -> str:
    """A name for a folder that every file system takes: no separators, control or reserved characters, not too long, not hidden."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(" " if unicodedata.category(c)[0] == "C" or c in '<>:"/\\|?*' else c for c in name)
    name = re.sub(r"\s+", " ", name).strip(" .")
    while len(name.encode("utf-8")) > _MAX_NAME_BYTES:
        name = name[:-1]
    name = name.rstrip(" .")
    if not name:
        return "song"
    return f"{name}_" if name.lower().split(".")[0] in _RESERVED else name


def _song_in(folder: Path) -> str | None:
    """Id of the song whose map lies in a folder; None if there is no map, an empty text if it cannot be read."""
    try:
        return str(json.loads((folder / MAP_NAME).read_text(encoding="utf-8"))["id"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_song(song_map: SongMap, stems: StemSet | None, folder: Path, store: ArtifactStore) -> Path:
    """Write the stems, then the map: where there is a map, what it refers to is there. Returns the map's path. Raises StorageError."""
    try:
        if stems is not None:
            refs = {name: stems.stem(name) for name in STEMS} | {"instrumental": stems.instrumental}
            for name, ref in refs.items():
                _write_stem(store, ref, folder / STEMS_FOLDER / f"{name}.wav")
        path = folder / MAP_NAME
        atomic_write(path, song_map.to_json().encode("utf-8"))
    except OSError as error:
        raise StorageError(
            f"Could not write to {folder}: {error.strerror or error}", "Check the disk and the folder's permissions"
        ) from error
    return path


def _write_stem(store: ArtifactStore, ref: AudioRef, target: Path) -> None:
    """Copy a stem, unless the same is there: a note of its hash lies beside the stems."""
    note = target.with_name(f".{target.name}.sha256")
    source = store.path(ref)
    try:
        same = note.read_text() == ref.sha256 and target.stat().st_size == source.stat().st_size
    except OSError:
        same = False
    if not same:
        copy_atomic(source, target)
        atomic_write(note, ref.sha256.encode())


def write_invalid(folder: Path, outcomes: Mapping[StepName, Outcome], problems: list[Problem]) -> SongMapInvalid:
    """Keep what the steps found and the report of the problems in `<folder>/invalid`, and return the error to raise."""
    place = folder / "invalid"
    for step, outcome in outcomes.items():
        if isinstance(outcome, StepResult):
            atomic_write(place / f"{step}.json", outcome.model_dump_json(indent=1).encode("utf-8"))
        elif outcome is not None:
            atomic_write(place / f"{step}.error.txt", describe(outcome).encode("utf-8"))
    atomic_write(place / "problems.txt", "".join(f"{problem}\n" for problem in problems).encode("utf-8"))
    shown = "; ".join(str(problem) for problem in problems[:3])
    return SongMapInvalid(f"The Song Map has {len(problems)} problems ({shown}); see {place}", tuple(str(problem) for problem in problems))
