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
from tasks.common.settings import get_settings, is_remote, local_path
from tasks.common.storage.atomic import discard_files, is_alive, move_atomic, remove_abandoned, whole
from tasks.common.storage.last_use import is_used, remove_unused, touch
from tasks.common.storage.local_copies import LocalCopies
from tasks.common.storage.remote import RemoteFiles

#: Nothing younger is pruned, unless a person says so.
_YOUNG_SEC = 24 * 3600.0


def sha256_file(*parts: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in blocks; of several files, as if they were one."""
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def discard_unfinished() -> None:
    """Remove everything that this process has not finished: for one that must end at once."""
    discard_files()
    for folder in get_settings().scratch_dir.glob(f"{os.getpid()}-*"):
        shutil.rmtree(folder, ignore_errors=True)


class ArtifactStore:
    """Audio files by content.

    url: a directory, or an fsspec URL such as `s3://bucket/performia`.
    scratch: a local directory for unfinished files and for local copies of remote ones.
    """

    def __init__(self, url: str, scratch: Path):
        self.url = url
        self.scratch = scratch
        self._root: Path | None = None if is_remote(url) else Path(local_path(url))
        self._remote = RemoteFiles(url)
        self._copies = LocalCopies(scratch / "copies")

    @staticmethod
    def key(ref: AudioRef) -> str:
        return f"audio/{ref.sha256[:2]}/{ref.sha256}.wav"

    def exists(self, ref: AudioRef) -> bool:
        if self._root is not None:
            return (self._root / self.key(ref)).is_file()
        try:
            return _is_whole(self._remote.size(self.key(ref)), ref)
        except FileNotFoundError:
            return False

    def path(self, ref: AudioRef) -> Path:
        """Local path of a stored file, to read from. Raises ArtifactMissing."""
        key = self.key(ref)
        if self._root is not None:
            path = self._root / key
            if not path.is_file():
                raise ArtifactMissing(f"The artifact store lacks {key}")
            return path
        if not self._copies.use(key):
            self._download(ref)
        return self._copies.path(key)

    def add(self, file: Path, ref: AudioRef) -> AudioRef:
        """Move a finished WAV file (written in a `temporary_dir`) into the store under its reference, and return the reference."""
        key = self.key(ref)
        try:
            if self._root is None:
                if not self._use(ref):
                    self._remote.upload(file, key)
                # The next step of the song reads it, most likely on this machine.
                move_atomic(file, self._copies.path(key))
                self._copies.trim()
            elif self._use(ref):
                file.unlink()
            else:
                move_atomic(file, self._root / key)
            return ref
        except OSError as error:
            raise StorageError(f"Could not store {file.name}: {error}") from error

    def derived(self, name: str) -> Path | None:
        """Local path of a file that was made of audio, such as a compressed form, which counts as used now. None where there is none.

        name: `<SHA-256 of the audio it was made of>.<what it is>`. Whoever finds none makes it, and gives it to `add_derived`.
        """
        key = _derived_key(name)
        if self._root is not None:
            path = self._root / key
            return path if is_used(path, self._root) else None
        if self._copies.use(key):
            return self._copies.path(key)
        try:
            with whole(self._copies.path(key)) as temporary:
                self._remote.download(key, temporary)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"Could not fetch {key}: {error}") from error
        self._copies.trim()
        return self._copies.path(key)

    def add_derived(self, file: Path, name: str) -> Path:
        """Move a finished file (written in a `temporary_dir`) into the store; return its local path."""
        key = _derived_key(name)
        try:
            if self._root is None:
                self._remote.upload(file, key)
            target = self._copies.path(key) if self._root is None else self._root / key
            move_atomic(file, target)
            return target
        except OSError as error:
            raise StorageError(f"Could not store {file.name}: {error}") from error

    def remove(self, sha256: str, before: float) -> int:
        """Remove the audio of a hash and what was made of it, unless it was used since `before`; returns how many files went.

        Of a remote store, what was uploaded since `before` stays.
        """
        audio, made = f"audio/{sha256[:2]}/{sha256}.wav", f"derived/{sha256[:2]}"
        gone = 0
        if self._root is not None:
            for path in (self._root / audio, *(self._root / made).glob(f"{sha256}.*")):
                gone += remove_unused(path, self._root, before)
            return gone
        for key in (audio, *(f"{made}/{name}" for name in self._remote.names(made) if name.startswith(f"{sha256}."))):
            try:
                written = self._remote.written(key)
                if written is not None and written < before:
                    self._remote.remove(key)
                    gone += 1
            except FileNotFoundError:
                continue
            finally:
                self._copies.path(key).unlink(missing_ok=True)
        return gone

    def _use(self, ref: AudioRef) -> bool:
        """Count a stored file as used now, so that it is not pruned while a run builds on it. False where it is to be stored."""
        if self._root is not None:
            return touch(self._root / self.key(ref), self._root)
        # An object's time is that of its upload: an old one is uploaded again.
        return self.exists(ref) and is_young(self._remote.written(self.key(ref)))

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

    def _download(self, ref: AudioRef) -> None:
        key = self.key(ref)
        local = self._copies.path(key)
        try:
            with whole(local) as temporary:
                self._remote.download(key, temporary)
                if not _is_whole(temporary.stat().st_size, ref):
                    raise FileNotFoundError(key)
        except FileNotFoundError as error:
            raise ArtifactMissing(f"The artifact store lacks {key}") from error
        except OSError as error:
            raise StorageError(f"Could not fetch {key}: {error}") from error
        self._copies.trim()


def _derived_key(name: str) -> str:
    return f"derived/{name[:2]}/{name}"


def _is_whole(size: int, ref: AudioRef) -> bool:
    """Whether a file of this size may hold the samples of a reference and a header: an upload that broke off does not."""
    return size > 4 * ref.frames * ref.channels


def is_young(written: float | None) -> bool:
    """Whether an object that was uploaded then is too young to be pruned."""
    return written is None or time.time() - written < _YOUNG_SEC


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
    """Remove what processes that died left unfinished: temporary directories, and half files."""
    folder = scratch or get_settings().scratch_dir
    store = get_settings().artifacts_url
    remove_abandoned(get_settings().results_dir)
    remove_abandoned(get_settings().models_cache_dir, "*/.*.tmp")
    for files in ("audio", "derived"):
        remove_abandoned(folder / "copies" if is_remote(store) else Path(local_path(store)), f"{files}/*/.*.tmp")
    for path in folder.glob("*-*"):
        owner = path.name.split("-")[0]
        if owner.isdigit() and path.is_dir() and not is_alive(int(owner)):
            shutil.rmtree(path, ignore_errors=True)
