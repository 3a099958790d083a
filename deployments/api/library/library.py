"""The library: every Song Map that is kept in the output folder, found by its words, key and tempo.

    library = Library(settings.songs_dir, library_file(settings))
    library.search(song_query("beatles love", key="Am"))
    library.folder_of("0123456789abcdef")

A look at the folder says what has changed (see `song_folders`), and only that is read. A search makes one look at most in a second, in a
thread of its own, and waits for it for `_PATIENCE_SEC`: a small library is always up to date, a large one is a moment behind rather than
slow. Who asks for one song that the index does not know waits for a look that began after the question, so that a song is there as soon as
its job says so.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import Final

from deployments.api.library.entries import IndexedSong, indexed_song
from deployments.api.library.index import BATCH, LibraryIndex, Page
from deployments.api.library.query import SongQuery
from deployments.api.library.song_folders import SongFolders, map_state
from schemas.song_folder import MAP_NAME
from tasks.common.errors import StorageError
from tasks.common.locks import hold
from tasks.common.settings import Settings

logger = logging.getLogger(__name__)

#: No search looks again so soon, nor before this many times what a look takes: a look must not be what the service does.
_LEAST_AGE_SEC: Final = 1.0
_LEAST_AGE_IN_LOOKS: Final = 20.0
#: So long a search waits for a look; for the first one of this process, which is a longer one, somewhat longer.
_PATIENCE_SEC: Final = 0.02
_FIRST_PATIENCE_SEC: Final = 2.0
#: So long the question for one song waits for a look, while another one fills the index.
_MOST_PATIENCE_SEC: Final = 10.0
#: No map is as large; what is, is none, and would fill the memory.
_MOST_BYTES: Final = 64 << 20


def library_file(settings: Settings) -> Path:
    """Where the index of the output folder is."""
    folder = hashlib.sha256(os.fsencode(settings.songs_dir.absolute())).hexdigest()[:16]
    return settings.data_dir / "cache" / "library" / f"{folder}.sqlite"


class Library:
    """The songs below a folder. One for each process; its methods may be called from any thread."""

    def __init__(self, root: Path, file: Path):
        self.root = root.absolute()
        self.index = LibraryIndex(file)
        self._folders = SongFolders(self.root)
        self._one_at_a_time = threading.Lock()
        self._settled: tuple[str, dict[str, str]] | None = None
        self._began = -float("inf")
        self._ended = -float("inf")
        self._took = 0.0
        self._thread: threading.Thread | None = None
        #: False while maps are still to be read: what is found is right, and not all there is.
        self.complete = False

    def search(self, query: SongQuery) -> Page:
        """The songs that a query asks for. Raises StorageError."""
        thread = self._look_behind()
        if thread is not None:
            thread.join(_FIRST_PATIENCE_SEC if self._settled is None else _PATIENCE_SEC)
        try:
            return self.index.search(query)
        except StorageError:
            self.refresh()  # a damaged index has been taken away: it is filled again
            return self.index.search(query)

    def folder_of(self, song_id: str) -> Path | None:
        """The folder of a song, the newest where there are several; None where there is none. Raises StorageError."""
        for second in (False, True):
            if second:
                self.refresh(_MOST_PATIENCE_SEC)
            for folder, state in self._indexed_folders(song_id):
                path = self.root / folder
                if map_state(path) == state:
                    return path
        return None

    def folders_of(self, song_id: str) -> list[Path]:
        """Every folder that holds a song, after a look."""
        self.refresh()
        return [self.root / folder for folder, _ in self._indexed_folders(song_id)]

    def _indexed_folders(self, song_id: str) -> list[tuple[str, str]]:
        try:
            return self.index.folders_of(song_id)
        except StorageError:
            return []  # the look that follows fills it again

    def refresh(self, patience_sec: float | None = None) -> None:
        """Bring the index up to date with the folder as it is now. Who comes while another does so waits, and shares a look with others.

        patience_sec: after which no longer is waited for another's look.
        """
        asked = time.monotonic()
        if not self._one_at_a_time.acquire(timeout=-1 if patience_sec is None else patience_sec):
            return
        try:
            if self._began <= asked:
                self._look()
        finally:
            self._one_at_a_time.release()

    def _look_behind(self) -> threading.Thread | None:
        """The thread that looks; a new one where the last look is some time ago."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            return thread
        if time.monotonic() - self._ended < max(_LEAST_AGE_SEC, _LEAST_AGE_IN_LOOKS * self._took):
            return None
        self._thread = thread = threading.Thread(target=self._refresh_quietly, name="library", daemon=True)
        thread.start()
        return thread

    def _refresh_quietly(self) -> None:
        try:
            self.refresh()
        except Exception:
            logger.warning("The library could not be brought up to date", exc_info=True)

    def _look(self) -> None:
        self._began = time.monotonic()
        found = self._folders.look()
        self._took = time.monotonic() - self._began
        try:
            self._settle(found)
        except StorageError:
            self._settle(found)  # a damaged index has been taken away: it is filled again
        finally:
            self._ended = time.monotonic()

    def _settle(self, found: dict[str, str]) -> None:
        if self._settled != (self.index.generation(), found):
            self._take(found)

    def _take(self, found: dict[str, str]) -> None:
        """Bring the index to what was found. One process at a time; the others then find nothing left to do."""
        with hold(self.index.file.with_suffix(".filling.lock")):
            generation, known = self.index.generation(), self.index.states()
            gone = [folder for folder in known if folder not in found]
            if gone:
                self.index.forget(gone)
            # The newest first: what was just made is what is looked for.
            changed = sorted((folder for folder in found if known.get(folder) != found[folder]), key=lambda folder: -_time(found[folder]))
            self.complete = len(changed) <= BATCH
            for start in range(0, len(changed), BATCH):
                self.index.put({folder: read for folder in changed[start : start + BATCH] if (read := self._read(folder, found[folder]))})
        self._settled = (generation, found)
        self.complete = True

    def _read(self, folder: str, state: str) -> tuple[str, IndexedSong | None] | None:
        """The map of a folder; None where it is gone, or was changed since the look: the next look takes it."""
        path = self.root / folder / MAP_NAME
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError:
            return state, None
        return state, indexed_song(content) if len(content) <= _MOST_BYTES else None


def _time(state: str) -> int:
    return int(state.partition(":")[0])
