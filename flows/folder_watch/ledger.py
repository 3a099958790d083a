"""The ledger of a watched folder: what was seen, what was started, how it ended. One SQLite file, used by one watcher at a time.

A path whose bytes are no UTF-8 is kept as bytes (a BLOB): SQLite's text is Unicode.

Every change is committed before what it leads to is done, so that a watcher that is killed goes on where it was: a song is entered as
starting, with the number of the try, before its run is made, and the run's idempotency key holds that number.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tasks.common.errors import StorageError
from tasks.common.locks import try_to_hold
from tasks.ingest.file_names import is_text

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    since REAL NOT NULL, sha256 TEXT, problem TEXT NOT NULL DEFAULT '', problems INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS files_by_content ON files (sha256);
CREATE TABLE IF NOT EXISTS songs (
    sha256 TEXT NOT NULL, options TEXT NOT NULL, path TEXT NOT NULL, state TEXT NOT NULL, since REAL NOT NULL, arrived REAL NOT NULL,
    tries INTEGER NOT NULL, failures INTEGER NOT NULL, crashes INTEGER NOT NULL, next_try REAL NOT NULL, run_id TEXT, message TEXT NOT NULL,
    PRIMARY KEY (sha256, options)
);
CREATE INDEX IF NOT EXISTS songs_by_state ON songs (state, arrived);
CREATE TABLE IF NOT EXISTS ends (
    sha256 TEXT NOT NULL, options TEXT NOT NULL, try INTEGER NOT NULL, time REAL NOT NULL, message TEXT NOT NULL
);
"""


class SongState(StrEnum):
    waiting = "waiting"
    starting = "starting"
    running = "running"
    done = "done"
    failed = "failed"


@dataclass(frozen=True)
class FileRecord:
    """A file as it was when last looked at. sha256: None until it has settled. since: unix time from which it has not changed."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    since: float
    sha256: str | None = None
    problem: str = ""
    problems: int = 0


@dataclass(frozen=True)
class SongRecord:
    """A song: the content of a file under certain options. Times are unix times."""

    sha256: str
    options: str
    path: str
    state: SongState
    since: float
    arrived: float
    tries: int = 0
    failures: int = 0
    crashes: int = 0
    next_try: float = 0.0
    run_id: str | None = None
    message: str = ""

    def to(self, state: SongState, now: float, **changes: Any) -> SongRecord:
        return replace(self, state=state, since=now, **changes)


class Ledger:
    """See the module. Use `opened`."""

    def __init__(self, connection: sqlite3.Connection):
        self._db = connection

    def files(self) -> dict[str, FileRecord]:
        rows = self._db.execute(f"SELECT {_columns(FileRecord)} FROM files")
        return {record.path: record for record in map(_file, rows)}

    def copies(self, sha256: str) -> list[FileRecord]:
        """The files with this content, in the order of their paths."""
        rows = self._db.execute(f"SELECT {_columns(FileRecord)} FROM files WHERE sha256 = ? ORDER BY path", (sha256,))
        return [_file(row) for row in rows]

    def put_files(self, records: Iterable[FileRecord]) -> None:
        self._put("files", FileRecord, records)

    def forget_files(self, paths: Iterable[str]) -> None:
        with self._db:
            self._db.executemany("DELETE FROM files WHERE path = ?", [(_written(path),) for path in paths])

    def song(self, sha256: str, options: str) -> SongRecord | None:
        row = self._db.execute(f"SELECT {_columns(SongRecord)} FROM songs WHERE sha256 = ? AND options = ?", (sha256, options)).fetchone()
        return _song(row) if row else None

    def songs(self, *states: SongState) -> list[SongRecord]:
        """The songs in these states, in the order they arrived."""
        marks = ", ".join("?" * len(states))
        rows = self._db.execute(f"SELECT {_columns(SongRecord)} FROM songs WHERE state IN ({marks}) ORDER BY arrived, path", states)
        return [_song(row) for row in rows]

    def due(self, now: float, limit: int) -> list[SongRecord]:
        """The waiting songs whose time has come, in the order they arrived."""
        rows = self._db.execute(
            f"SELECT {_columns(SongRecord)} FROM songs WHERE state = 'waiting' AND next_try <= ? ORDER BY arrived, path LIMIT ?",
            (now, max(0, limit)),
        )
        return [_song(row) for row in rows]

    def unsettled_since(self) -> tuple[float | None, float | None]:
        """From when the first file that has not been read yet has not changed, and when the first that could not be read was last tried."""
        fresh, unreadable = self._db.execute(
            "SELECT min(CASE WHEN problems = 0 THEN since END), min(CASE WHEN problems > 0 THEN since END) FROM files WHERE sha256 IS NULL"
        ).fetchone()
        return fresh, unreadable

    def next_try(self) -> float | None:
        """When the first of the waiting songs is due."""
        found: float | None = self._db.execute("SELECT min(next_try) FROM songs WHERE state = 'waiting'").fetchone()[0]
        return found

    def count(self) -> dict[str, int]:
        """How many songs are in each state."""
        found = dict(self._db.execute("SELECT state, count(*) FROM songs GROUP BY state").fetchall())
        return {state.value: int(found.get(state.value, 0)) for state in SongState}

    def put_song(self, record: SongRecord) -> None:
        self._put("songs", SongRecord, [record])

    def forget_song(self, record: SongRecord) -> None:
        with self._db:
            self._db.execute("DELETE FROM songs WHERE sha256 = ? AND options = ?", (record.sha256, record.options))

    def put_end(self, record: SongRecord, now: float, message: str) -> None:
        """Note how a try ended, for the report."""
        with self._db:
            self._db.execute("INSERT INTO ends VALUES (?, ?, ?, ?, ?)", (record.sha256, record.options, record.tries, now, message))

    def ended(self, record: SongRecord) -> list[tuple[int, float, str]]:
        """(try, unix time, message) of every try that ended badly."""
        rows = self._db.execute("SELECT try, time, message FROM ends WHERE sha256 = ? AND options = ?", (record.sha256, record.options))
        return [(int(number), float(when), str(message)) for number, when, message in rows]

    def _put(self, table: str, kind: type[Any], records: Iterable[Any]) -> None:
        names = [field.name for field in fields(kind)]
        marks = ", ".join("?" * len(names))
        with self._db:
            self._db.executemany(
                f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})",
                [tuple(_written(getattr(record, name)) for name in names) for record in records],
            )


@contextmanager
def opened(file: Path) -> Iterator[Ledger | None]:
    """The ledger in a file, made if need be; None while another watcher of this machine has it. Raises StorageError."""
    lock = try_to_hold(file.with_suffix(".lock"))
    if lock is None:
        yield None
        return
    try:
        connection = sqlite3.connect(file)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            yield Ledger(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StorageError(f"The ledger {file} cannot be used: {error}") from error
    finally:
        lock.release()


def _columns(kind: type[Any]) -> str:
    return ", ".join(field.name for field in fields(kind))


def _written(value: Any) -> Any:
    """A value as SQLite keeps it."""
    return os.fsencode(value) if isinstance(value, str) and not is_text(value) else value


def _read(row: tuple[Any, ...]) -> list[Any]:
    return [os.fsdecode(value) if isinstance(value, bytes) else value for value in row]


def _file(row: tuple[Any, ...]) -> FileRecord:
    return FileRecord(*_read(row))


def _song(row: tuple[Any, ...]) -> SongRecord:
    record = SongRecord(*_read(row))
    return replace(record, state=SongState(record.state))
