"""Where the corrections of a song are kept: in its folder, where a person finds them and takes them along, and by its id in the store.

The two may have grown apart, as when the folder was copied to another machine and corrected there: they are read as one, and written alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from schemas.corrections import Corrections
from schemas.song_folder import CORRECTIONS_NAME
from tasks.common.errors import CorrectionsInvalid, StorageError
from tasks.common.locks import hold
from tasks.common.settings import Settings, is_remote, local_path
from tasks.common.storage.atomic import atomic_write
from tasks.common.storage.remote import RemoteFiles
from tasks.corrections.log import joined

#: A log of twenty thousand operations has less.
_MOST_BYTES: Final = 50_000_000


def read_log(settings: Settings, song: str, folder: Path | None = None) -> Corrections:
    """What persons put right in a song, of its folder and of the store; empty where nobody did. Raises CorrectionsInvalid, StorageError."""
    beside = read_file(folder / CORRECTIONS_NAME) if folder is not None and (folder / CORRECTIONS_NAME).is_file() else None
    content = _read_store(settings, song)
    return joined(song, _parsed(content, f"the store's of {song}") if content is not None else None, beside)


def read_file(file: Path) -> Corrections:
    """A log from a file. Raises CorrectionsInvalid, StorageError."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise CorrectionsInvalid(f"{file.name} is larger than {_MOST_BYTES // 1_000_000} MB")
        content = file.read_bytes()
    except OSError as error:
        raise StorageError(f"Could not read {file.name}: {error.strerror or error}", "Check the path and its permissions") from error
    return _parsed(content, file.name)


def write_log(settings: Settings, log: Corrections, folder: Path | None = None) -> None:
    """Keep a log, in the store and in the song's folder. Raises StorageError."""
    content = log.to_json().encode("utf-8")
    try:
        if folder is not None and (log.operations or (folder / CORRECTIONS_NAME).exists()):
            _write(folder / CORRECTIONS_NAME, content)
        if log.operations or _read_store(settings, log.song) is not None:
            _write_store(settings, log.song, content)
    except OSError as error:
        raise StorageError(f"Could not keep the corrections: {error.strerror or error}", "Check the disk and its permissions") from error


def forget_log(settings: Settings, song: str) -> None:
    """Remove what the store keeps of a song. Raises StorageError."""
    if is_remote(settings.corrections_url):
        try:
            RemoteFiles(settings.corrections_url).remove(_name(song))
        except FileNotFoundError:
            return
    else:
        try:
            _local(settings, song).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"Could not remove the corrections: {error.strerror or error}") from error


@contextmanager
def alone_with(settings: Settings, song: str) -> Iterator[None]:
    """Nobody else on this machine changes the song's corrections meanwhile: what two say at once is kept of both. Raises StorageError."""
    name = hashlib.sha256(song.encode()).hexdigest()[:16]
    try:
        settings.locks_dir.mkdir(parents=True, exist_ok=True)
        lock = hold(settings.locks_dir / f"corrections-{name}.lock")
    except OSError as error:
        raise StorageError(
            f"Could not write into the folder of the locks, {settings.locks_dir}: {error.strerror or error}",
            "Check the disk and the permissions of the data folder",
        ) from error
    with lock:
        yield


def _parsed(content: bytes, name: str) -> Corrections:
    try:
        return Corrections.from_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorrectionsInvalid(f"{name}: {where}: {first['msg']}") from error


def _name(song: str) -> str:
    return f"{song}.json"


def _local(settings: Settings, song: str) -> Path:
    return Path(local_path(settings.corrections_url)) / _name(song)


def _read_store(settings: Settings, song: str) -> bytes | None:
    try:
        if is_remote(settings.corrections_url):
            return RemoteFiles(settings.corrections_url).read(_name(song))
        return _local(settings, song).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"Could not read the corrections: {error.strerror or error}") from error


def _write_store(settings: Settings, song: str, content: bytes) -> None:
    if is_remote(settings.corrections_url):
        RemoteFiles(settings.corrections_url).write(_name(song), content)
    else:
        _write(_local(settings, song), content)


def _write(path: Path, content: bytes) -> None:
    """Not touched where it says the same: what looks for changes finds none."""
    if not path.is_file() or path.read_bytes() != content:
        atomic_write(path, content)
