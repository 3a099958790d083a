"""Locks between processes and threads: files that one holder has at a time. The kernel frees them with their process, however it ends.

    with hold(path): ...                  # wait for it
    if held := try_to_hold(path): ...     # None where somebody has it; held.release()
    is_held(path), is_left(path)          # does whoever made this file live?

A lock belongs to whoever has the object, in any thread. A second one of the same file waits, in the same process too.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


class Lock:
    """A lock that is held: by a block that begins with it, or until `release`."""

    def __init__(self, lock: FileLock):
        self._lock = lock

    @property
    def path(self) -> Path:
        return Path(self._lock.lock_file)

    def release(self) -> None:
        """Let others have it. Its file stays, unless the holder has removed it; who waits then makes a new one."""
        self._lock.release()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def hold(path: Path, timeout_sec: float | None = None) -> Lock:
    """Hold a lock, waiting for it; its folder is made. Raises TimeoutError, where a time is given; OSError."""
    lock = FileLock(path, thread_local=False)
    lock.acquire(timeout=-1 if timeout_sec is None else timeout_sec)
    return Lock(lock)


def try_to_hold(path: Path) -> Lock | None:
    """Hold a lock, if nobody does. Raises OSError."""
    try:
        return hold(path, 0)
    except Timeout:
        return None


def is_held(path: Path) -> bool:
    """Whether somebody who lives holds a lock. Makes no file. Raises OSError."""
    if not path.exists():
        return False
    probe = try_to_hold(path)
    if probe is not None:
        probe.release()
    return probe is None


def is_left(path: Path) -> bool:
    """Whether a lock's file is there, and nobody holds it: its process died. False where that cannot be told."""
    try:
        return path.exists() and not is_held(path)
    except OSError:
        return False
