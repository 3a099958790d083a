"""What can be refused without decoding: paths, files that are no files, and what the container says of itself. Milliseconds."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from schemas.options import Reading
from tasks.common.confinement import is_inside
from tasks.common.errors import (
    AudioChanged,
    AudioEmpty,
    AudioError,
    AudioIsDirectory,
    AudioNotFound,
    AudioPathRefused,
    AudioTooLong,
    AudioUnreadable,
)
from tasks.common.settings import Settings, get_settings
from tasks.common.storage.artifacts import sha256_file


def file_identity(path: Path) -> str:
    """SHA-256 of the file's bytes: what stands for the file in the cache. Raises AudioError."""
    refuse_path(path, get_settings())  # a pipe would never end
    try:
        return sha256_file(path)
    except OSError as error:
        raise _named(path, error) from error


def refuse_changed(path: Path, identity: str, expected: str | None) -> None:
    """Raise AudioChanged if the file is not the one that was asked for."""
    if expected is not None and identity != expected:
        raise AudioChanged(f"{path} is not the file it was")


def refuse_early(path: Path, settings: Settings, reading: Reading = Reading()) -> None:  # noqa: B008 (frozen)
    """Raise the AudioError of a song that cannot be analysed, as far as that shows without decoding it."""
    from tasks.ingest.container import opened
    from tasks.ingest.decode_audio import refuse_cut_early

    refuse_path(path, settings)

    with opened(path, reading.track) as song:
        # A size in a header may be anything; where bytes are missing, the length is that of what is there.
        declared = song.declared_sec and song.declared_sec * (1 - song.layout.missing_share)
        if declared is not None and declared > settings.max_duration_sec:
            raise too_long(path, declared, settings)
        if not reading.accept_damaged:
            refuse_cut_early(path, song)


def refuse_path(path: Path, settings: Settings) -> None:
    """Raise the AudioError of a path that is not a readable regular file with content, inside the allowed folders."""
    if not path.name or "\0" in str(path):
        raise AudioPathRefused(f"{str(path)!r} is not the path of a file")
    refuse_outside(path, settings)  # first: not even whether it exists is told
    try:
        status = path.stat()
    except OSError as error:
        raise _named(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioIsDirectory(f"{path} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise AudioPathRefused(f"{path} is not a regular file")
    if status.st_size == 0:
        raise AudioEmpty(f"{path} is empty")
    if not os.access(path, os.R_OK):
        raise AudioUnreadable(f"{path} may not be read")


def refuse_outside(path: Path, settings: Settings) -> None:
    """Raise AudioPathRefused where folders are set that songs must lie in, and a path is in none of them."""
    if settings.input_roots and not is_inside(path, (*settings.input_roots, settings.uploads)):
        raise AudioPathRefused(f"{path} is outside the allowed folders")


def too_long(path: Path, seconds: float, settings: Settings) -> AudioTooLong:
    return AudioTooLong(f"{path} lasts {seconds:.0f} s; the limit is {settings.max_duration_sec:.0f} s")


def _named(path: Path, error: OSError) -> AudioError:
    """The named error of a failed system call on a path."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return AudioNotFound(f"{path} does not exist")
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL):
        return AudioPathRefused(f"{str(path)[:200]} cannot be followed: {error.strerror}")
    if error.errno == errno.EISDIR:
        return AudioIsDirectory(f"{path} is a folder")
    return AudioUnreadable(f"{path} cannot be read: {error.strerror or error}")
