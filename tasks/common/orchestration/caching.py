"""The step cache: its locks, and when a hit does not count. The only module with cache policies.

Why not Prefect's own policies. Paths hash as text, so content is hashed (`tasks.common.orchestration.keys`). A stored result may name audio
files that somebody deleted; Prefect does not notice, so a record whose files are gone is not found. Prefect's file
lock never expires, so a killed run would block all later ones; the kernel frees these locks with the process.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel

from tasks.common.locks import Lock, is_held, try_to_hold
from tasks.common.orchestration.keys import step_key
from tasks.common.orchestration.prefect_private import UnsavedStorage
from tasks.common.settings import get_settings, is_remote, local_path
from tasks.common.storage.artifacts import ArtifactStore, audio_refs
from tasks.common.storage.result_records import Records, result_of

#: Open locks of this process, by path: {path: (lock, holder)}. A lock must outlive copies of the manager, which Prefect makes.
_held: dict[Path, tuple[Lock, str]] = {}
_held_guard = threading.Lock()

_POLL_SEC = 0.05


class KernelLockManager(LockManager):
    """Locks of the step cache as `flock` files below the data directory: freed by the kernel when their process dies, however it dies.

    Holders within one process exclude each other too. The manager has no state of its own, so that it may be copied and pickled.
    """

    @staticmethod
    def _path(key: str) -> Path:
        return get_settings().locks_dir / f"{Path(key).name}.lock"

    def acquire_lock(self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None) -> bool:  # noqa: ARG002 (Prefect's)
        """See `LockManager`. `hold_timeout` is not needed: a lock ends with its process."""
        path = self._path(key)
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        while True:
            with _held_guard:
                mine = _held.get(path)
                if mine is not None and mine[1] == holder:
                    return True
                if mine is None:
                    lock = try_to_hold(path)
                    if lock is not None:
                        _held[path] = (lock, holder)
                        return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SEC)

    async def aacquire_lock(self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None) -> bool:
        return await anyio.to_thread.run_sync(self.acquire_lock, key, holder, acquire_timeout, hold_timeout)

    def release_lock(self, key: str, holder: str) -> None:
        path = self._path(key)
        with _held_guard:
            mine = _held.get(path)
            if mine is None or mine[1] != holder:
                raise ValueError(f"No lock held by {holder} for transaction with key {key}")
            del _held[path]
            mine[0].release()

    def is_locked(self, key: str) -> bool:
        path = self._path(key)
        with _held_guard:
            return path in _held or is_held(path)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        with _held_guard:
            mine = _held.get(self._path(key))
            return mine is not None and mine[1] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_locked(key):
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SEC)
        return True

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return await anyio.to_thread.run_sync(self.wait_for_lock, key, timeout)


@dataclass
class StepCache(CachePolicy):
    """Cache policy of a step. Two runs that need the same result at once compute it once; the second waits and reads.

    step: the step's name. version: raised whenever the step's code would give another result for the same inputs.
    """

    step: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        self.isolation_level = IsolationLevel.SERIALIZABLE
        self.lock_manager = KernelLockManager()

    def compute_key(self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any) -> str:  # noqa: ARG002
        return step_key(self.step, self.version, inputs)


class RecordStorage(UnsavedStorage):
    """Prefect's door to the records: JSON of our own types goes in and out, and nothing else.

    It is not saved as a block at the server: it holds nothing but a URL, which every process knows from its settings.
    """

    _block_type_name = "Performia Records"

    url: str

    def where(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/{path}" if is_remote(self.url) else str(Path(local_path(self.url)) / path)

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """A record that may be used; it counts as used. Raises RecordRefused, StorageError, FileNotFoundError: to Prefect, all say no."""
        records = Records(self.url)
        record = records.read(_key(path))
        refuse_unusable(record)
        records.use(_key(path))
        return record

    async def aread_path(self, path: str) -> bytes:
        return await anyio.to_thread.run_sync(self.read_path, path)

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        Records(self.url).write(_key(path), content)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await anyio.to_thread.run_sync(self.write_path, path, content)


def _key(path: str) -> str:
    """Records lie side by side, so a path cannot lead out of the store."""
    return path.rpartition("/")[2]


def refuse_unusable(record: bytes) -> None:
    """Raise FileNotFoundError where a record names audio that is gone: Prefect would not notice."""
    settings = get_settings()
    store = ArtifactStore(settings.artifacts_url, settings.scratch_dir)
    if gone := [ref.sha256 for ref in audio_refs(result_of(record)) if not store.exists(ref)]:
        raise FileNotFoundError(f"The audio files {', '.join(gone)} of a cached result are gone")
