"""The folders that retention looks through, on a disk or behind any fsspec URL: their files, when each was last used, and removing them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tasks.common.errors import StorageError
from tasks.common.locks import try_to_hold
from tasks.common.settings import is_remote, local_path
from tasks.common.storage.last_use import GUARD, modified, remove_unused
from tasks.common.storage.remote import open_store


@dataclass(frozen=True)
class StoredFile:
    """name: path below the place. used: when it was last used (seconds since the epoch); None where the store does not say."""

    name: str
    size: int
    used: float | None

    def older_than(self, cutoff: float) -> bool:
        return self.used is not None and self.used < cutoff


class Place(Protocol):
    """A folder of stored files."""

    def files(self) -> Iterator[StoredFile]:
        """Every file, in order of the names."""

    def read(self, name: str) -> bytes:
        """Content of a file. Raises FileNotFoundError."""

    def remove(self, name: str, before: float) -> bool:
        """Remove a file unless it was used since `before`; True if it was removed."""


class Folder:
    """A folder on a disk. Whoever uses one of its files meanwhile keeps it; see `tasks.common.storage.last_use`."""

    def __init__(self, root: Path):
        self.root = root

    def files(self) -> Iterator[StoredFile]:
        for path in _walk(self.root):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            yield StoredFile(path.relative_to(self.root).as_posix(), status.st_size, status.st_mtime)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def remove(self, name: str, before: float) -> bool:
        return remove_unused(self.root / name, self.root, before)


class RecordFolder(Folder):
    """The folder of the step cache: a record goes under the lock of its step, so that nobody is about to read it, and the lock with it."""

    def __init__(self, root: Path, locks: Path):
        super().__init__(root)
        self.locks = locks

    def remove(self, name: str, before: float) -> bool:
        path = self.root / name
        lock = try_to_hold(self.locks / f"{path.name}.lock")
        if lock is None:
            return False
        try:
            if path.stat().st_mtime >= before:
                return False
            path.unlink()
            lock.path.unlink(missing_ok=True)
        except FileNotFoundError:
            return False
        finally:
            lock.release()
        return True


class LockFolder(Folder):
    """The locks of the step cache. One goes while it is held here; who waits for it then notices and makes a new one."""

    def remove(self, name: str, before: float) -> bool:  # noqa: ARG002 (as in Folder; a lock has no age)
        lock = try_to_hold(self.root / name)
        if lock is None:
            return False
        try:
            (self.root / name).unlink()
        except FileNotFoundError:
            return False
        finally:
            lock.release()
        return True


class RemoteFolder:
    """A folder behind an fsspec URL. An object's time is that of its last upload."""

    def __init__(self, url: str):
        self.fs, self.base = open_store(url)

    def files(self) -> Iterator[StoredFile]:
        self.fs.invalidate_cache()
        try:
            found: dict[str, dict[str, Any]] = self.fs.find(self.base, detail=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"Could not look into {self.base}: {error}") from error
        for path, info in sorted(found.items()):
            yield StoredFile(path.removeprefix(f"{self.base}/"), int(info.get("size") or 0), modified(info))

    def read(self, name: str) -> bytes:
        content: bytes = self.fs.cat_file(f"{self.base}/{name}")
        return content

    def remove(self, name: str, before: float) -> bool:
        path = f"{self.base}/{name}"
        try:
            written = modified(self.fs.info(path, refresh=True))
            if written is None or written >= before:
                return False
            self.fs.rm_file(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"Could not delete {path}: {error}") from error
        return True


def place_at(url: str) -> Place:
    """The folder that a path or an fsspec URL names."""
    return RemoteFolder(url) if is_remote(url) else Folder(Path(local_path(url)))


def _walk(root: Path) -> Iterator[Path]:
    """The files below a folder, in order; links are neither followed nor files."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if name != GUARD and not path.is_symlink():
                yield path
