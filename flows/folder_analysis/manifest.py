"""The manifest of a folder of results: how every song went, for people and other programs, and for the next start, which goes on from it.

`manifest.json` and `manifest.csv` are replaced as a whole after every song, so that they are never half written and survive a kill. Several
processes may write into one folder: each takes over what the others wrote.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import time
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from flows.song_files import SongFile
from schemas.batch import SongEntry
from tasks.common.errors import StorageError
from tasks.common.locks import hold
from tasks.common.storage.artifacts import sha256_file
from tasks.common.storage.atomic import atomic_write
from tasks.ingest.file_names import as_text

logger = logging.getLogger(__name__)

JSON_NAME: Final = "manifest.json"
CSV_NAME: Final = "manifest.csv"
CSV_COLUMNS: Final = tuple(SongEntry.model_fields)[: list(SongEntry.model_fields).index("size")]
#: Writing takes at most this share of the time: a manifest of ten thousand songs is not written anew every second.
_SHARE_OF_TIME: Final = 0.05
#: A spreadsheet takes text that begins so for a formula, and tags may say anything.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Manifest:
    """The manifest in `folder`. Reading never fails: what cannot be read counts as absent."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / JSON_NAME
        self._entries: dict[str, SongEntry] = {}
        self._unwritten: dict[str, SongEntry] = {}
        self._seen: tuple[int, int] | None = None
        self._next_write = 0.0
        self._read()

    def finished(self, song: SongFile, recipe: str) -> SongEntry | None:
        """The entry of a song that needs no analysis: nothing failed, and neither file, recipe nor results have changed since."""
        entry = self._entries.get(as_text(song.path))
        if entry is None or entry.status not in ("done", "cached") or entry.recipe != recipe or entry.song_map is None:
            return None
        song_map = self.folder / entry.song_map
        if not all(path.is_file() for path in (song_map, *(song_map.parent / stem for stem in entry.stems))):
            return None
        return entry if self._is_unchanged(song, entry) else None

    def put(self, entry: SongEntry) -> None:
        """Write down how a song went."""
        self._entries[entry.file] = self._unwritten[entry.file] = entry
        self.write_if_due()

    def write_if_due(self) -> None:
        """Write what has not been written, if the last time was long enough ago. Raises StorageError."""
        if self._unwritten and time.monotonic() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write both files now. Raises StorageError."""
        started = time.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with hold(self.folder / f".{JSON_NAME}.lock"):
                self._read()
                self._entries |= self._unwritten
                ordered = [self._entries[file] for file in sorted(self._entries)]
                atomic_write(self.path, _as_json(ordered))
                atomic_write(self.folder / CSV_NAME, _as_csv(ordered))
                self._seen = _version(self.path)
        except OSError as error:
            raise StorageError(f"Could not write the manifest in {self.folder}: {error.strerror or error}") from error
        self._unwritten.clear()
        ended = time.monotonic()
        self._next_write = ended + (ended - started) / _SHARE_OF_TIME

    def _read(self) -> None:
        """Take over what is in the file, if it is not what this process wrote."""
        version = _version(self.path)
        if version is None or version == self._seen:
            return
        self._seen = version
        try:
            songs = json.loads(self.path.read_text(encoding="utf-8"))["songs"]
            for song in songs:
                entry = SongEntry.model_validate_json(json.dumps(song))
                self._entries[entry.file] = entry
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
            logger.warning("%s cannot be read (%s); the songs it names are analysed again", self.path, error)

    def _is_unchanged(self, song: SongFile, entry: SongEntry) -> bool:
        if song.size != entry.size:
            return False
        if song.mtime_ns == entry.mtime_ns:
            return True
        try:  # copied or touched: the content decides
            same = sha256_file(song.path) == entry.file_sha256
        except OSError:
            return False
        if same:
            self._unwritten[entry.file] = self._entries[entry.file] = entry.model_copy(update={"mtime_ns": song.mtime_ns})
        return same


def _version(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _as_json(entries: list[SongEntry]) -> bytes:
    """One song a line, so that the file can be read and compared by eye."""
    lines = ",\n".join(json.dumps(entry.model_dump(mode="json"), ensure_ascii=False) for entry in entries)
    return f'{{"version": 1, "songs": [\n{lines}\n]}}\n'.encode("utf-8", "replace")


def _as_csv(entries: list[SongEntry]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for entry in entries:
        writer.writerow([_cell(getattr(entry, column)) for column in CSV_COLUMNS])
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
