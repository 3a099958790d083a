"""Which Song Maps lie below the output folder, and whether any of them was written, changed or deleted since the last look.

Whoever writes a map (a run on this machine or another, a person who copies a folder) tells nobody, and on the file systems that several
machines share, no notice of a change travels. So a look asks the disk: one `stat` for each folder and each map. A folder is listed again
only where its time says that something was put into it or taken out.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas.song_folder import INVALID_FOLDER, MAP_NAME, STEMS_FOLDER

#: A folder that changed so recently may change again without its time changing: some file systems count in twos of seconds.
_COARSE_NS: Final = 2_500_000_000


@dataclass(slots=True)
class _Known:
    """A folder as it was listed. mtime_ns: 0 where it is to be listed again whatever its time says."""

    mtime_ns: int
    folders: list[str] = field(default_factory=list)
    has_map: bool = False


class SongFolders:
    """The folders with Song Maps below one folder, remembered from look to look."""

    def __init__(self, root: Path):
        self.root = root
        self._known: dict[str, _Known] = {}

    def look(self) -> dict[str, str]:
        """{folder of a map, relative to the root: what tells this state of the map from any other}. A root that is not there has none."""
        known, self._known = self._known, {}
        found: dict[str, str] = {}
        visited: set[tuple[int, int]] = set()
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            path = os.path.join(self.root, folder)
            try:
                status = os.stat(path)
                if not stat.S_ISDIR(status.st_mode) or (status.st_dev, status.st_ino) in visited:
                    continue  # a link that leads back up
                visited.add((status.st_dev, status.st_ino))
                before = known.get(folder)
                now = before if before is not None and before.mtime_ns == status.st_mtime_ns else _listed(path, folder, status)
            except (OSError, ValueError):
                continue
            self._known[folder] = now
            if now.has_map and (state := map_state(path)):
                found[folder] = state
            waiting += now.folders
        return found


def _listed(path: str, folder: str, status: os.stat_result) -> _Known:
    recent = time.time_ns() - status.st_mtime_ns < _COARSE_NS
    known = _Known(0 if recent else status.st_mtime_ns)
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name == MAP_NAME:
                known.has_map = True
            elif not entry.name.startswith(".") and entry.is_dir():
                names.append(entry.name)
    ours = (STEMS_FOLDER, INVALID_FOLDER) if known.has_map else ()
    known.folders = [f"{folder}/{name}" if folder else name for name in names if name not in ours]
    return known


def map_state(folder: str | Path) -> str | None:
    """What tells this state of a folder's map from any other; None where there is no map."""
    try:
        status = os.stat(os.path.join(folder, MAP_NAME))
    except OSError:
        return None
    return f"{status.st_mtime_ns}:{status.st_ino}:{status.st_size}" if stat.S_ISREG(status.st_mode) else None
