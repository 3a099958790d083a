"""When a stored file was last used, and removing those that nobody uses.

What is stored never changes, so a local file's modification time is free to say when it was last used. Using and removing exclude each
other by a lock of the folder: a file that was found in use is not removed a moment later by somebody who looked a moment before.
"""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any, Final

from tasks.common.locks import hold

#: A use so soon after another says nothing new: a player asks for a file part by part.
_SAME_USE_SEC: Final = 600.0
#: The lock of a folder of stored files.
GUARD: Final = ".last-use.lock"


def touch(path: Path, folder: Path) -> bool:
    """Count a file, somewhere below `folder`, as used now. False where there is no such file."""
    if not path.is_file():
        return False
    with hold(folder / GUARD):
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True


def is_used(path: Path, folder: Path) -> bool:
    """As `touch`, for what is asked for many times in a row."""
    try:
        if time.time() - path.stat().st_mtime < _SAME_USE_SEC:
            return True
    except FileNotFoundError:
        return False
    return touch(path, folder)


def remove_unused(path: Path, folder: Path, before: float) -> bool:
    """Remove a file, somewhere below `folder`, unless it was used since `before` (seconds since the epoch). True if it was removed."""
    with hold(folder / GUARD):
        try:
            if path.stat().st_mtime >= before:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True


def modified(info: dict[str, Any]) -> float | None:
    """When a remote object was written (seconds since the epoch), from fsspec's description of it; None where the store does not say."""
    for name in ("LastModified", "last_modified", "mtime", "updated", "created"):
        found = info.get(name)
        if isinstance(found, datetime.datetime):
            return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
        if isinstance(found, int | float):
            return float(found)
        if isinstance(found, str):
            return datetime.datetime.fromisoformat(found).timestamp()
    return None
