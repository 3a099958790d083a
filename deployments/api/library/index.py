"""The index of the library: an SQLite file (FTS5) beside the cache, made of the Song Maps alone.

It can be lost at any time: where it is gone, damaged or of another version, an empty one takes its place and is filled again. Several
processes use one file. Each opens it anew for whatever it does, so that nobody goes on with a file that another process has replaced.
A write takes some milliseconds (`BATCH` songs), readers wait for it. It has no write-ahead log, whose shared memory does not reach from
machine to machine: with a data directory on a file system whose locks hold between machines, this file works there too.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from deployments.api.library.entries import IndexedSong, SongEntry
from deployments.api.library.query import Place, SongQuery
from tasks.common.errors import StorageError
from tasks.common.locks import hold

#: Of what is kept, and how its texts are made words of. Another version is another file's content: it is filled anew.
_VERSION: Final = 1
#: So many songs are written at once.
BATCH: Final = 50
#: How long a reader waits for a writer, and a writer for the readers.
_WAIT_SEC: Final = 5.0

_TABLES: Final = """
CREATE TABLE facts(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE songs(
    place INTEGER PRIMARY KEY,
    folder BLOB NOT NULL UNIQUE,
    state TEXT NOT NULL,
    shown INTEGER NOT NULL DEFAULT 0,
    written INTEGER NOT NULL DEFAULT 0,
    id TEXT, title TEXT, artist TEXT, album TEXT, duration REAL, bpm REAL, key TEXT, status TEXT, created TEXT, language TEXT, stems TEXT,
    keys TEXT, audio TEXT, title_key TEXT, artist_key TEXT
);
CREATE TABLE words(place INTEGER PRIMARY KEY, title TEXT, artist TEXT, album TEXT, lyrics TEXT);
CREATE INDEX songs_id ON songs(id);
CREATE INDEX songs_title ON songs(title_key, id) WHERE shown;
CREATE INDEX songs_artist ON songs(artist_key, id) WHERE shown;
CREATE INDEX songs_created ON songs(created, id) WHERE shown;
CREATE INDEX songs_duration ON songs(duration, id) WHERE shown;
CREATE INDEX songs_bpm ON songs(coalesce(bpm, 0), id) WHERE shown;
CREATE VIRTUAL TABLE heads USING fts5(title, artist, album, tokenize='ascii', prefix='1 2 3');
CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='ascii', prefix='1 2 3');
INSERT INTO heads(heads, rank) VALUES ('rank', 'bm25(10.0, 6.0, 3.0)');
"""
_COLUMNS: Final = "id, title, artist, album, duration, bpm, key, status, created, language, stems"
_ALL_COLUMNS: Final = ", ".join(f"songs.{name}" for name in _COLUMNS.split(", "))
_ORDERED_BY: Final = {
    "title": "title_key",
    "artist": "artist_key",
    "created": "created",
    "duration": "duration",
    "bpm": "coalesce(bpm, 0)",
}
#: Between the title and what follows it, so that no phrase goes on from one into the other. No word has it.
_BREAK: Final = " \ue000 "
#: More than any relevance of a title.
_BEHIND_TITLES: Final = 1e15


@dataclass(frozen=True, slots=True)
class Page:
    """Songs of the library, in the order that was asked for. last: where a next page would go on; None where there is none."""

    songs: tuple[SongEntry, ...]
    last: Place | None


class LibraryIndex:
    """The index in one file. Every method raises StorageError where the disk fails."""

    def __init__(self, file: Path):
        self.file = file

    def generation(self) -> str:
        """Which filling of the index this is: another one has other content, though the maps are the same."""
        with self._opened() as database:
            return _generation(database)

    def states(self) -> dict[str, str]:
        """{folder: state of its map} of what the index holds."""
        with self._opened() as database:
            return {os.fsdecode(folder): state for folder, state in database.execute("SELECT folder, state FROM songs")}

    def put(self, songs: Mapping[str, tuple[str, IndexedSong | None]]) -> None:
        """Keep what was read in some folders: {folder: (state, the song, None for a map that is none)}. One short transaction."""
        with self._writing() as database:
            touched: set[str] = set()
            # The oldest first: FTS5 writes out what it has gathered each time a lower number comes.
            for folder, (state, song) in sorted(songs.items(), key=lambda item: _written(item[1][0])):
                touched |= _forget(database, folder)
                _insert(database, folder, state, song)
                touched |= {song.entry.id} if song else set()
            _show_newest(database, touched)

    def forget(self, folders: Collection[str]) -> None:
        """Drop the songs of some folders."""
        with self._writing() as database:
            touched: set[str] = set()
            for folder in folders:
                touched |= _forget(database, folder)
            _show_newest(database, touched)

    def folders_of(self, song_id: str) -> list[tuple[str, str]]:
        """The folders that hold a song, each with the state of its map, the newest first."""
        with self._opened() as database:
            rows = database.execute("SELECT folder, state FROM songs WHERE id = ? ORDER BY shown DESC, written DESC", (song_id,))
            return [(os.fsdecode(folder), state) for folder, state in rows]

    def audio_named_besides(self, song_id: str, hashes: Collection[str]) -> set[str]:
        """Which of these hashes of audio other songs name."""
        with self._opened() as database:
            return {
                sha
                for sha in hashes
                if database.execute("SELECT 1 FROM songs WHERE id <> ? AND instr(audio, ?) LIMIT 1", (song_id, sha)).fetchone()
            }

    def audio_of(self, song_id: str) -> set[str]:
        """The hashes of the audio that a song's maps name."""
        with self._opened() as database:
            rows = database.execute("SELECT audio FROM songs WHERE id = ?", (song_id,))
            return {sha for (audio,) in rows for sha in audio.split()}

    def count(self) -> int:
        """How many songs there are."""
        with self._opened() as database:
            found: int = database.execute("SELECT count(*) FROM songs WHERE shown").fetchone()[0]
            return found

    def search(self, query: SongQuery) -> Page:
        """The songs that a query asks for."""
        with self._opened() as database:
            rows = _by_relevance(database, query) if query.order == "relevance" else database.execute(*_statement(query)).fetchall()
        more = len(rows) > query.limit
        rows = rows[: query.limit]
        return Page(tuple(_entry(row) for row in rows), Place(rows[-1][0], rows[-1][1]) if more else None)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.rollback()
                raise
            database.commit()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = None
        try:
            database = self._open()
            yield database
        except sqlite3.Error as error:
            if is_damage(error):
                self._discard()
            raise StorageError(
                f"The library's index could not be used: {error}", "Try again: it is made anew from the Song Maps"
            ) from error
        finally:
            if database is not None:
                database.close()

    def _open(self) -> sqlite3.Connection:
        """A connection to an index of this version; an empty one takes the place of any other."""
        try:
            database = _connected(self.file)
            if database.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
                return database
            database.close()
        except sqlite3.OperationalError as error:
            if is_damage(error):
                self._discard()
            elif self.file.exists():
                raise
        except sqlite3.DatabaseError:
            self._discard()
        self._make()
        return _connected(self.file)

    def _make(self) -> None:
        with self._alone():
            with suppress(sqlite3.Error):
                database = _connected(self.file)
                version = database.execute("PRAGMA user_version").fetchone()[0]
                database.close()
                if version == _VERSION:
                    return  # another process was faster
            self._remove()
            self.file.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self.file, timeout=_WAIT_SEC)
            try:
                generation = f"INSERT INTO facts VALUES ('generation', '{uuid.uuid4().hex}');"
                database.executescript(f"BEGIN; {_TABLES} {generation} PRAGMA user_version = {_VERSION}; COMMIT;")
            finally:
                database.close()

    def _discard(self) -> None:
        """Remove a damaged file; whoever has it open goes on with it to the end of what he does."""
        with self._alone():
            self._remove()

    def _alone(self) -> Any:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return hold(self.file.with_suffix(".lock"))

    def _remove(self) -> None:
        for ending in ("", "-journal", "-wal", "-shm"):
            self.file.with_name(self.file.name + ending).unlink(missing_ok=True)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no database or is not whole, and not that somebody else writes to it or the disk is full."""
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    code = getattr(error, "sqlite_errorcode", None)
    return (code is not None and code & 0xFF in codes) or "no such table" in str(error) or "no such column" in str(error)


def _connected(file: Path) -> sqlite3.Connection:
    # Not made here where it is missing: two processes would make it at once.
    database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_SEC, isolation_level=None)
    # What a power cut takes of an index is read again; half a page of it is noticed.
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def _generation(database: sqlite3.Connection) -> str:
    row = database.execute("SELECT value FROM facts WHERE name = 'generation'").fetchone()
    return row[0] if row else ""


def _forget(database: sqlite3.Connection, folder: str) -> set[str]:
    """Drop what a folder holds; returns the id of the song, if there was one."""
    row = database.execute("SELECT place, id, shown FROM songs WHERE folder = ?", (os.fsencode(folder),)).fetchone()
    if row is None:
        return set()
    place, song_id, shown = row
    if shown:
        _hide(database, place)
    database.execute("DELETE FROM songs WHERE place = ?", (place,))
    database.execute("DELETE FROM words WHERE place = ?", (place,))
    return {song_id} if song_id else set()


def _insert(database: sqlite3.Connection, folder: str, state: str, song: IndexedSong | None) -> None:
    if song is None:
        database.execute("INSERT INTO songs(folder, state) VALUES (?, ?)", (os.fsencode(folder), state))
        return
    *facts, stems = astuple(song.entry)
    keys, audio = f" {' '.join(song.keys)} ", " ".join(song.audio)
    values = [os.fsencode(folder), state, _written(state), *facts, json.dumps(stems), keys, audio, song.title_key, song.artist_key]
    place = _free_place(database, state)
    database.execute(
        f"INSERT INTO songs(place, folder, state, written, {_COLUMNS}, keys, audio, title_key, artist_key)"
        f" VALUES ({place}, {', '.join('?' * len(values))})",
        values,
    )
    database.execute("INSERT INTO words VALUES (?, ?, ?, ?, ?)", (place, *song.texts))


def _free_place(database: sqlite3.Connection, state: str) -> int:
    """A number that is free, and the greater the later the map was written (ms)."""
    place = _written(state) // 1_000_000
    while database.execute("SELECT 1 FROM songs WHERE place = ?", (place,)).fetchone():
        place += 1
    return place


def _written(state: str) -> int:
    return int(state.partition(":")[0])


def _show_newest(database: sqlite3.Connection, ids: Collection[str]) -> None:
    """Of the folders with the same song, the one that was written last stands for it, and is found by its words."""
    for song_id in ids:
        rows = database.execute("SELECT place, shown FROM songs WHERE id = ? ORDER BY written DESC, place DESC", (song_id,)).fetchall()
        for number, (place, shown) in enumerate(rows):
            if shown and number > 0:
                _hide(database, place)
        if rows and not rows[0][1]:
            _show(database, rows[0][0])


def _show(database: sqlite3.Connection, place: int) -> None:
    texts = database.execute("SELECT title, artist, album, lyrics FROM words WHERE place = ?", (place,)).fetchone()
    database.execute("INSERT INTO heads(rowid, title, artist, album) VALUES (?, ?, ?, ?)", (place, *texts[:3]))
    database.execute("INSERT INTO texts(rowid, text) VALUES (?, ?)", (place, _BREAK.join(texts)))
    database.execute("UPDATE songs SET shown = 1 WHERE place = ?", (place,))


def _hide(database: sqlite3.Connection, place: int) -> None:
    database.execute("DELETE FROM heads WHERE rowid = ?", (place,))
    database.execute("DELETE FROM texts WHERE rowid = ?", (place,))
    database.execute("UPDATE songs SET shown = 0 WHERE place = ?", (place,))


def _by_relevance(database: sqlite3.Connection, query: SongQuery) -> list[Any]:
    """First the songs with all the words in title, artist and album, the best match first; then those that have some in the lyrics, the
    newest first. The words of the lyrics are not weighed: a common one is in every song, and counting it takes longer than a person waits.
    """
    conditions, values = _narrowed(query)
    narrowed = "".join(f" AND {condition}" for condition in conditions)
    rows: list[Any] = []
    after = query.after
    if after is None or after.value < _BEHIND_TITLES:  # type: ignore[operator]
        further = "" if after is None else " AND (rank, id) > (?, ?)"
        rows = database.execute(
            f"SELECT rank AS value, {_ALL_COLUMNS} FROM heads JOIN songs ON songs.place = heads.rowid"
            f" WHERE heads MATCH ?{narrowed}{further} ORDER BY value, id LIMIT ?",
            [query.match, *values, *([] if after is None else [after.value, after.song_id]), query.limit + 1],
        ).fetchall()
        after = None
    if len(rows) <= query.limit:
        further = "" if after is None else " AND texts.rowid < ?"
        rows += database.execute(
            f"SELECT {2 * _BEHIND_TITLES} - texts.rowid AS value, {_ALL_COLUMNS} FROM texts JOIN songs ON songs.place = texts.rowid"
            f" WHERE texts MATCH ?{narrowed}{further} AND texts.rowid NOT IN (SELECT rowid FROM heads WHERE heads MATCH ?)"
            " ORDER BY texts.rowid DESC LIMIT ?",
            [
                query.match,
                *values,
                *([] if after is None else [2 * _BEHIND_TITLES - after.value]),  # type: ignore[operator]
                query.match,
                query.limit + 1 - len(rows),
            ],
        ).fetchall()
    return rows


def _narrowed(query: SongQuery) -> tuple[list[str], list[object]]:
    """The conditions of a query besides its text."""
    conditions, values = list[str](), list[object]()
    if query.key is not None:
        conditions.append("instr(keys, ?)")
        values.append(f" {query.key} ")
    for bound, comparison in ((query.bpm_min, ">="), (query.bpm_max, "<=")):
        if bound is not None:
            conditions.append(f"bpm {comparison} ?")
            values.append(bound)
    return conditions, values


def _statement(query: SongQuery) -> tuple[str, list[object]]:
    value, way = _ORDERED_BY[query.order], "DESC" if query.descending else "ASC"
    conditions, values = _narrowed(query)
    conditions.append("shown")
    if query.has_words:
        conditions.append("place IN (SELECT rowid FROM texts WHERE texts MATCH ?)")
        values.append(query.match)
    if query.after is not None:
        conditions.append(f"({value}, id) {'<' if query.descending else '>'} (?, ?)")
        values += [query.after.value, query.after.song_id]
    return (
        f"SELECT {value} AS value, {_ALL_COLUMNS} FROM songs WHERE {' AND '.join(conditions)} ORDER BY {value} {way}, id {way} LIMIT ?",
        [*values, query.limit + 1],
    )


def _entry(row: Sequence[Any]) -> SongEntry:
    names = [field.name for field in fields(SongEntry)]
    found = dict(zip(names, row[1:], strict=True))
    return SongEntry(**{**found, "stems": tuple(json.loads(found["stems"]))})
