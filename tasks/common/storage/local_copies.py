"""Local copies of remote audio: what this machine made or fetched it reads from its own disk, within a limit."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tasks.common.settings import get_settings
from tasks.common.storage.last_use import GUARD, remove_unused, touch

#: What was used a moment ago is about to be opened.
_IN_USE_SEC: Final = 60.0


class LocalCopies:
    """The folder of the copies. Each is whole under its name; whoever has opened one that goes reads on."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def use(self, name: str) -> bool:
        """Count a copy as used now. False where there is none."""
        return touch(self.path(name), self.folder)

    def trim(self) -> None:
        """Remove the least recently used copies until the others take no more than the settings allow."""
        left = get_settings().copies_gib * 2**30
        found: list[tuple[float, int, Path]] = []
        for root, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):
                    status = Path(root, name).stat()
                    found.append((status.st_mtime, status.st_size, Path(root, name)))
        for used, size, path in sorted(found, reverse=True):
            left -= size
            if left < 0 and path.name != GUARD and not path.name.startswith(".") and used < time.time() - _IN_USE_SEC:
                remove_unused(path, self.folder, time.time() - _IN_USE_SEC)
