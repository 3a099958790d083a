"""The artifact store: audio files named by the SHA-256 of their samples.

A store is a directory or any fsspec URL. A file appears under its final name only when it is whole (temporary file, then rename), and is
never changed afterwards, so that a reader needs no lock and writing the same content twice is harmless. On a remote store, files are copied
into a local directory when they are read; an upload that broke off is too small for its reference, and counts as missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.results import AudioRef
from tasks.common.errors import ArtifactMissing, StorageError
from tasks.common.last_use import modified, touch

#: Nothing younger is pruned, unless a person says so.
_YOUNG_SEC = 24 * 3600.0

_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees half of it, not even after a power cut: its content is on the disk before its name is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def copy_atomic(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever sees half of it under its final name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _move_atomic(source: Path, target: Path) -> None:
    """Move a file so that nobody ever sees half of it, even to another disk: only a rename within the target's own is atomic."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        shutil.move(source, staged)
        os.replace(staged, target)
    finally:
        staged.unlink(missing_ok=True)


class ArtifactStore:
    """Audio files by content.

    url: a directory, or an fsspec URL such as `s3://bucket/performia`.
    scratch: a local directory for unfinished files and for local copies of remote ones.
    """

    def __init__(self, url: str, scratch: Path):
        self.url = url
        self.scratch = scratch
        local = url.removeprefix("file://")
        self._root: Path | None = None if "://" in local else Path(local)

    @staticmethod
    def key(ref: AudioRef) -> str:
        return f"audio/{ref.sha256[:2]}/{ref.sha256}.wav"

    def exists(self, ref: AudioRef) -> bool:
        if self._root is not None:
            return (self._root / self.key(ref)).is_file()
        fs, base = self._remote()
        try:
            size: int = fs.size(f"{base}/{self.key(ref)}")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"Could not look into the artifact store: {error}") from error
        return size > 4 * ref.frames * ref.channels  # samples and a header

    def path(self, ref: AudioRef) -> Path:
        """Local path of a stored file, to read from. Raises ArtifactMissing."""
        if self._root is not None:
            path = self._root / self.key(ref)
            if not path.is_file():
                raise ArtifactMissing(f"The artifact store lacks {self.key(ref)}")
            return path
        local = self.scratch / "copies" / self.key(ref)
        if not touch(local, self.scratch / "copies"):
            self._download(ref, local)
        return local

    def add(self, file: Path, ref: AudioRef) -> AudioRef:
        """Move a finished WAV file (written in a `temporary_dir`) into the store under its reference, and return the reference."""
        try:
            if self._use(ref):
                file.unlink()
                return ref
            if self._root is not None:
                _move_atomic(file, self._root / self.key(ref))
            else:
                fs, base = self._remote()
                fs.put_file(str(file), f"{base}/{self.key(ref)}")
                file.unlink()
            return ref
        except OSError as error:
            raise StorageError(f"Could not store {file.name}: {error}") from error

    def _use(self, ref: AudioRef) -> bool:
        """Count a stored file as used now, so that it is not pruned while a run builds on it. False where it is to be stored."""
        if self._root is not None:
            return touch(self._root / self.key(ref), self._root)
        if not self.exists(ref):
            return False
        # An object's time is that of its upload: an old one is uploaded again.
        fs, base = self._remote()
        written = modified(fs.info(f"{base}/{self.key(ref)}"))
        return written is None or time.time() - written < _YOUNG_SEC

    @contextmanager
    def temporary_dir(self) -> Iterator[Path]:
        """A private local directory for unfinished files, removed at the end whatever happens."""
        path = self.scratch / f"{os.getpid()}-{uuid.uuid4().hex}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise StorageError(f"Could not make a folder for unfinished files: {error}") from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _remote(self) -> tuple[Any, str]:
        import fsspec

        fs, _, paths = fsspec.get_fs_token_paths(self.url)
        return fs, paths[0].rstrip("/")

    def _download(self, ref: AudioRef, local: Path) -> None:
        fs, base = self._remote()
        local.parent.mkdir(parents=True, exist_ok=True)
        temporary = local.with_name(f".{local.name}.{uuid.uuid4().hex}.tmp")
        try:
            fs.get_file(f"{base}/{self.key(ref)}", str(temporary))
            os.replace(temporary, local)
        except FileNotFoundError as error:
            raise ArtifactMissing(f"The artifact store lacks {self.key(ref)}") from error
        except OSError as error:
            raise StorageError(f"Could not fetch {self.key(ref)}: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)


def audio_refs(value: Any) -> Iterator[AudioRef]:
    """Every audio reference in a JSON value."""
    if isinstance(value, dict):
        if set(value) == set(AudioRef.model_fields):
            yield AudioRef(**value)
        else:
            for item in value.values():
                yield from audio_refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from audio_refs(item)


def sweep_scratch(scratch: Path | None = None) -> None:
    """Remove the temporary directories of processes that died without doing so."""
    from tasks.common.settings import get_settings

    folder = scratch or get_settings().scratch_dir
    for path in folder.glob("*-*"):
        owner = path.name.split("-")[0]
        if owner.isdigit() and path.is_dir() and not is_alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
