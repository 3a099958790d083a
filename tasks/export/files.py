"""Exports written into a folder. What a person changed by hand is never written over without being told so.

Beside the files, a hidden list says what each was when it was written, and of which song. A file that still is what the list says is
replaced; any other that differs is in the way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.song_folder import EXPORTS_NAME, MAP_NAME
from tasks.common.errors import ExportInTheWay, PerformiaError, StorageError
from tasks.common.locks import Lock, hold
from tasks.common.settings import get_settings
from tasks.common.storage.atomic import atomic_write
from tasks.export.formats import Format
from tasks.export.options import ExportOptions
from tasks.export.song import Song

_FAULT: Final = f"This is a fault of ours: report it with the song's {MAP_NAME}"


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one format. file: where it is. error: why it could not be written, instead of the file."""

    format: str
    file: Path | None
    error: PerformiaError | None = None


def write_exports(
    song: Song, formats: Sequence[Format], options: ExportOptions, folder: Path, name: str, replace: bool = False
) -> Iterator[Written]:
    """Write the formats one after the other; one that cannot be written does not stop the next. One of several files gives several.

    name: of the files, before their suffixes. replace: write over whatever has such a name.
    """
    for entry in formats:
        target = folder / f"{name}{entry.suffix_for(options)}"
        try:
            if entry.files is None:
                _write(target, song.map.id, entry.content(song, options), replace)
                yield Written(entry.name, target)
                continue
            for below, content in entry.files(song.transposed(options.transpose), options):
                file = target.with_suffix("") / below
                _write(file, song.map.id, content, replace)
                yield Written(entry.name, file)
        except PerformiaError as error:
            yield Written(entry.name, None, error)
        except Exception as error:  # noqa: BLE001 (also a fault of ours stops one format alone)
            named = PerformiaError(f"{entry.name}: {type(error).__name__}: {error}", _FAULT)
            named.__cause__ = error
            yield Written(entry.name, None, named)


def delete_exports(folder: Path, song_id: str) -> None:
    """Delete a song's exports in its folder, and in those of several files below it, as far as nobody changed them. Raises OSError."""
    below = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not (path / MAP_NAME).exists()]
    for place in (*below, folder):
        with _alone_with(place / EXPORTS_NAME):
            known = _records(place / EXPORTS_NAME)
            for name, record in known.items():
                file = place / name
                if Path(name).name == name and file.is_file() and record == {"song": song_id, "sha256": _sha256(file.read_bytes())}:
                    file.unlink()
            if known and not any((place / name).exists() for name in known):
                (place / EXPORTS_NAME).unlink()
        if place is not folder and known and not any(place.iterdir()):
            place.rmdir()


def _write(target: Path, song_id: str, content: bytes, replace: bool) -> None:
    records = target.with_name(EXPORTS_NAME)
    record = {"song": song_id, "sha256": _sha256(content)}
    with _told(target), _alone_with(records):
        known = _records(records)
        there = _sha256(target.read_bytes()) if target.exists() else None
        ours = {"song": song_id, "sha256": there} == known.get(target.name)
        if there not in (None, record["sha256"]) and not ours and not replace:
            raise ExportInTheWay(f"{target} is there already, and is not what an export of this song left")
        if there != record["sha256"]:
            atomic_write(target, content)
        if known.get(target.name) != record:
            atomic_write(records, json.dumps({**known, target.name: record}, indent=1, sort_keys=True).encode())


@contextmanager
def _alone_with(records: Path) -> Iterator[None]:
    """Nobody else on this machine changes a list meanwhile: of what two write at once, all is known afterwards.

    Where the data directory cannot be written no lock can be had, and an export needs none of it: then it goes without.
    """
    lock: Lock | None = None
    with suppress(OSError):
        name = hashlib.sha256(os.fsencode(records.resolve())).hexdigest()[:16]
        lock = hold(get_settings().locks_dir / f"exports-{name}.lock")
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _records(file: Path) -> dict[str, object]:
    """{file name: {song, sha256}}; none where the list is not there, or is none."""
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """What the file system says, as an error that can be told."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror or error}", "Choose another folder with -o") from error
