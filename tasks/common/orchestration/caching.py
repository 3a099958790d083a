"""The step cache: its locks, and when a hit does not count. The only module with cache policies.

Why not Prefect's own policies. Paths hash as text, so content is hashed (`tasks.common.orchestration.keys`). A stored result may name audio
files that somebody deleted; Prefect does not notice, so a record whose files are gone is dropped before it is looked up. Prefect's file
lock never expires, so a killed run would block all later ones; the kernel frees these locks with the process.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from filelock import FileLock, Timeout
from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel

from schemas.plan import StepPlan
from tasks.common.orchestration.keys import step_key
from tasks.common.settings import get_settings, is_remote, local_path
from tasks.common.storage.artifacts import ArtifactStore, audio_refs
from tasks.common.storage.result_records import RecordRefused, Records, result_of

logger = logging.getLogger(__name__)

#: Open locks of this process, by path: {path: (lock, holder)}. A lock must outlive copies of the manager, which Prefect makes.
_held: dict[Path, tuple[FileLock, str]] = {}
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
        path.parent.mkdir(parents=True, exist_ok=True)
        deadline = None if acquire_timeout is None else time.monotonic() + acquire_timeout
        while True:
            with _held_guard:
                mine = _held.get(path)
                if mine is not None and mine[1] == holder:
                    return True
                if mine is None:
                    lock = FileLock(path, thread_local=False)
                    try:
                        lock.acquire(timeout=0)
                    except Timeout:
                        pass
                    else:
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
            if path in _held:
                return True
            if not path.exists():
                return False
            probe = FileLock(path, thread_local=False)
            try:
                probe.acquire(timeout=0)
            except Timeout:
                return True
            probe.release()
            return False

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
        key = step_key(self.step, self.version, inputs)
        plan = next((value for value in inputs.values() if isinstance(value, StepPlan)), None)
        drop_stale(Records(get_settings().results_url), key, plan)
        return key


class RecordStorage(WritableFileSystem):
    """Prefect's door to the records: JSON of our own types goes in and out, and nothing else.

    It is not saved as a block at the server: it holds nothing but a URL, which every process knows from its settings.
    """

    _block_type_name = "Performia Records"

    url: str

    def _resolve_path(self, path: str) -> str:
        """How Prefect shows where a record is: the whole path."""
        return f"{self.url.rstrip('/')}/{path}" if is_remote(self.url) else str(Path(local_path(self.url)) / path)

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        return Records(self.url).read(_key(path))

    async def aread_path(self, path: str) -> bytes:
        return await anyio.to_thread.run_sync(self.read_path, path)

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        Records(self.url).write(_key(path), content)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await anyio.to_thread.run_sync(self.write_path, path, content)


def _key(path: str) -> str:
    """Records lie side by side, so a path cannot lead out of the store."""
    return path.rpartition("/")[2]


def drop_stale(records: Records, key: str, plan: StepPlan | None) -> None:
    """Delete a stored result that must not be used: unreadable, naming audio that is gone, or made by a lesser engine than is at hand.

    Any other is about to be used, and counts as such: what nobody uses is pruned.
    """
    try:
        result = result_of(records.read(key))
    except FileNotFoundError:
        return
    except (OSError, RecordRefused) as error:
        reason = f"unreadable ({error})"
    else:
        reason = _why_stale(result, plan)
    if reason:
        logger.info("dropping the cached result %s: %s", key, reason)
        records.drop(key)
    else:
        records.use(key)


def _why_stale(result: Any, plan: StepPlan | None) -> str:
    settings = get_settings()
    store = ArtifactStore(settings.artifacts_url, settings.scratch_dir)
    if any(not store.exists(ref) for ref in audio_refs(result)):
        return "its audio files are gone"
    report = _find_report(result)
    # Without a reason it is no lesser engine: a song without a voice needs none that reads lyrics.
    if plan is None or plan.expected is None or not report.get("degraded_because"):
        return ""
    made_by = [report.get("engine"), *_names(report.get("models"))]
    at_hand = [plan.expected.engine, *(model.name for model in plan.expected.models)]
    return "" if made_by == at_hand else f"made by {made_by}, and {at_hand} is at hand"


def _names(models: Any) -> list[Any]:
    return [model.get("name") for model in models if isinstance(model, dict)] if isinstance(models, list) else []


def _find_report(result: Any) -> dict[str, Any]:
    data = result.get("data", result) if isinstance(result, dict) else {}
    report = data.get("report", {}) if isinstance(data, dict) else {}
    return report if isinstance(report, dict) else {}


def cached(task: Task[..., Any]) -> Task[..., Any]:
    """The task with its results in Performia's own cache. Bound at run time: nothing is read from the settings at import.

    Its tags go out of Prefect's sight: for every tag of every task, Prefect asks the server for a slot before it looks into the cache,
    and a server that is busy in that moment fails the whole run. See `tasks.common.orchestration.slots`, and `resource_tags` for where they
    are now.
    """
    bound = task.with_options()
    # Given as an option, Prefect wants a block that is saved at the server; it takes any.
    bound.result_storage = RecordStorage(url=get_settings().results_url)
    bound.resource_tags = frozenset(task.tags)  # type: ignore[attr-defined]
    bound.tags = set()
    return bound


def resource_tags(task: Task[..., Any]) -> frozenset[str]:
    """The tags that a task was declared with."""
    return frozenset(getattr(task, "resource_tags", task.tags))
