"""Files and folders that appear whole or not at all, however a process ends: written under a hidden name beside the final one, and renamed.

The hidden name says which process writes it, so that what a killed one left is told from what a living one writes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: A file of another machine that is still being written is younger than this.
_ABANDONED_SEC: Final = 3600.0
#: File systems allow names of 255 bytes, encrypted ones 143, and the process takes 38.
_MOST_OF_NAME_BYTES: Final = 100

#: Files of this process that are not whole yet.
_unfinished: set[Path] = set()


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A hidden name beside `target` to write to. It becomes `target` at the end of the block, and is removed where the block raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished_name(target)
    _unfinished.add(temporary)
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def unfinished_name(target: Path) -> Path:
    """A hidden name beside `target` that says which process writes it, for a folder that `put_folder` puts in place."""
    name = target.name.encode("utf-8", "surrogateescape")[:_MOST_OF_NAME_BYTES].decode("utf-8", "ignore")
    return target.with_name(f".{name}.{_host()}-{os.getpid()}-{uuid.uuid4().hex[:12]}.tmp")


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it, not even after a power cut: its content is on the disk before its name is."""
    with whole(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def copy_atomic(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever sees half of it under its final name."""
    with whole(target) as temporary:
        _copy(source, temporary)


def join_atomic(parts: Sequence[Path], target: Path) -> None:
    """Write a file that is made of several, one after the other. Like `atomic_write`, nobody ever sees half of it."""
    with whole(target) as temporary, temporary.open("wb") as joined:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, joined, 1 << 20)
        joined.flush()
        os.fsync(joined.fileno())


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; where the two places are on different disks, or links are not allowed, a copy."""
    try:
        os.link(source, target)
    except OSError:
        copy_atomic(source, target)


def move_atomic(source: Path, target: Path) -> None:
    """Move a file over `target`, also to another disk: the source goes once the target is whole; where it cannot go, there is no target.

    Raises OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole(target) as temporary:
            shutil.copy2(source, temporary)
        try:
            source.unlink()
        except OSError:
            target.unlink(missing_ok=True)
            raise


def put_folder(prepared: Path, folder: Path) -> bool:
    """Give a prepared folder its name, unless something else than an empty folder has it. Returns whether it did. Raises OSError."""
    try:
        if os.name == "nt" and folder.exists():
            folder.rmdir()  # only POSIX renames onto an empty folder
        os.rename(prepared, folder)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def discard_files() -> None:
    """Remove every file that this process has not finished: for one that must end at once."""
    for path in tuple(_unfinished):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_abandoned(folder: Path, pattern: str = ".*.tmp") -> None:
    """Remove the unfinished files of processes of this machine that are gone; of other machines, those that nobody wrote to for an hour."""
    for path in folder.glob(pattern):
        host, _, rest = path.name.removesuffix(".tmp").rpartition(".")[2].partition("-")
        pid = rest.partition("-")[0]
        with suppress(OSError):
            here = host == _host() and pid.isdigit()
            if not is_alive(int(pid)) if here else time.time() - path.stat().st_mtime > _ABANDONED_SEC:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _copy(source: Path, target: Path) -> None:
    """Copy a file; file systems that can share its blocks until one of the two is written to (Btrfs, XFS) then use no further space."""
    if hasattr(os, "copy_file_range"):  # Linux
        with suppress(OSError), source.open("rb") as wanted, target.open("wb") as copy:
            left = os.fstat(wanted.fileno()).st_size
            while left and (copied := os.copy_file_range(wanted.fileno(), copy.fileno(), left)):
                left -= copied
            if not left:
                return
    shutil.copyfile(source, target)
