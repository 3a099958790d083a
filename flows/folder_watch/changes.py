"""When to look again: the file system says that something changed, or must be asked because it says nothing.

What is told: inotify on Linux, FSEvents on macOS (`watchfiles`). A network file system tells of the changes of this machine only, and so
does a folder that a container or virtual machine shares with its host: there the inbox is looked into every few seconds.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

from watchfiles import watch

logger = logging.getLogger(__name__)

#: Between two looks where nothing is told.
UNTOLD_SEC: Final = 5.0
#: Also where changes are told: the kernel drops some when there are very many, and a folder that a link leads to may be elsewhere.
TOLD_SEC: Final = 60.0
#: Changes that come so close are told at once.
_TOGETHER_MS: Final = 200
_AT_MOST_MS: Final = 1000
#: Types of file systems, as Linux names them, that do not say what others change.
_SILENT: Final = ("nfs", "cifs", "smb", "9p", "fuse", "virtiofs", "ceph", "glusterfs", "lustre", "afs", "vboxsf", "prl_fs", "drvfs")


class Changes:
    """with Changes(inbox, leave_out) as changes: `wait` returns when something below the inbox, and not below `leave_out`, has changed."""

    def __init__(self, folder: Path, leave_out: Iterable[Path] = ()):
        self._folder = folder
        self._leave_out = tuple(f"{path}/" for path in leave_out)
        self._changed = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="folder-changes", daemon=True)
        self.told = not is_silent(folder)
        self._listening = threading.Event()

    def __enter__(self) -> Changes:
        if self.told:
            self._thread.start()
            self._listening.wait()  # what changes from here on is told
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._done.set()

    @property
    def every_sec(self) -> float:
        """After how long to look although nothing was told."""
        return TOLD_SEC if self.told else UNTOLD_SEC

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether something has changed since the last `forget`."""
        return self._changed.wait(max(0.0, seconds))

    def forget(self) -> None:
        """What has changed until now is about to be looked at."""
        self._changed.clear()

    def _listen(self) -> None:
        try:
            for _ in watch(
                self._folder,
                watch_filter=lambda _, path: not path.startswith(self._leave_out),
                debounce=_AT_MOST_MS,
                step=_TOGETHER_MS,
                rust_timeout=60_000,
                stop_event=_Asked(self._listening, self._done),
                raise_interrupt=False,
                force_polling=False,
                ignore_permission_denied=True,
            ):
                self._changed.set()
        except Exception as error:  # noqa: BLE001 (too many folders for the kernel's limit, or the inbox was taken away)
            logger.warning("%s says no longer what changes in it and is looked into every %.0f s: %s", self._folder, UNTOLD_SEC, error)
        if not self._done.is_set():
            self.told = False
            self._changed.set()
        self._listening.set()


class _Asked:
    """What `watch` asks whether it shall stop, for the first time when it has begun to listen: it does not say so itself."""

    def __init__(self, listening: threading.Event, done: threading.Event):
        self._listening, self._done = listening, done

    def is_set(self) -> bool:
        self._listening.set()
        return self._done.is_set()


def is_silent(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether the folder lies on a file system that does not tell what other machines change in it. Known on Linux only."""
    kind = file_system(folder, mounts)
    return kind.startswith(_SILENT)


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that a folder lies on; empty where that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        folder = folder.resolve()
    except OSError:
        return ""
    found: dict[Path, str] = {}
    for line in lines:
        fields, _, rest = line.partition(" - ")
        place = fields.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape", "replace")
        found[Path(place)] = rest.split(" ")[0]  # the last mount of a place is the one that is seen
    return next((found[place] for place in (folder, *folder.parents) if place in found), "")
