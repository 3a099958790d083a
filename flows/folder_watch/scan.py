"""Looking into the inbox: which files are new, which have settled, and which song each is.

A file is taken when two looks, `settle_sec` apart, find it with the same size and time. Only then is it read, once, for its hash; a file
that did not change is never read again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flows.folder_watch.ledger import FileRecord, Ledger, SongRecord, SongState
from flows.folder_watch.rules import WatchRules
from flows.song_files import SkippedFile, SongFile, find_songs
from tasks.common.progress import Progress, silent
from tasks.common.storage.artifacts import sha256_file
from tasks.ingest.file_names import as_text


@dataclass
class InboxScan:
    """What a look found."""

    files: int = 0
    unsettled: list[str] = field(default_factory=list)
    accepted: list[SongRecord] = field(default_factory=list)
    done_before: list[SongRecord] = field(default_factory=list)
    unreadable: list[FileRecord] = field(default_factory=list)
    skipped: tuple[SkippedFile, ...] = ()


def scan_inbox(
    ledger: Ledger,
    inbox: Path,
    options: str,
    rules: WatchRules,
    progress: Progress = silent,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> InboxScan:
    """Bring the ledger up to what is in the inbox, and accept what has settled. `options` is the digest of the songs' options.

    Raises FolderNotFound, FolderIsFile, FolderUnreadable, StorageError.
    """
    found = find_songs(inbox, rules.patterns, rules.recursive, leave_out=rules.own_folders(inbox))
    scanned = InboxScan(files=len(found.songs), skipped=found.skipped)
    now = clock()
    records = _first_look(ledger, found.songs, now)
    fresh = [record for record in records if record.sha256 is None]
    if any(now - record.since < rules.settle_sec for record in fresh):
        sleep(rules.settle_sec)
    for place, record in enumerate(fresh):
        progress(place / len(fresh), as_text(Path(record.path).name))
        _second_look(ledger, record, options, rules, scanned, clock())
    return scanned


def _first_look(ledger: Ledger, songs: tuple[SongFile, ...], now: float) -> list[FileRecord]:
    """Compare with what is known; return the records of the files that are there. Nothing is read."""
    known = ledger.files()
    here = {str(song.path) for song in songs}
    records, changed = [], []
    for song in songs:
        path = str(song.path)
        record = known.get(path)
        if record is None or not _same(record, song.size, song.mtime_ns, song.inode):
            record = FileRecord(path, song.size, song.mtime_ns, song.inode, now)
            changed.append(record)
        records.append(record)
    ledger.put_files(changed)
    ledger.forget_files(known.keys() - here)
    return records


def _second_look(ledger: Ledger, record: FileRecord, options: str, rules: WatchRules, scanned: InboxScan, now: float) -> None:
    """Accept a file that is as it was before; otherwise note how it is now."""
    path = Path(record.path)
    try:
        status = path.stat()
        if not _same(record, status.st_size, status.st_mtime_ns, status.st_ino):
            ledger.put_files([FileRecord(record.path, status.st_size, status.st_mtime_ns, status.st_ino, now)])
            scanned.unsettled.append(record.path)
            return
        if now - record.since < rules.settle_sec:
            scanned.unsettled.append(record.path)
            return
        sha256 = sha256_file(path)
        after = path.stat()
    except FileNotFoundError:
        ledger.forget_files([record.path])
        return
    except OSError as error:
        _unreadable(ledger, record, error, scanned, now)
        return
    if not _same(record, after.st_size, after.st_mtime_ns, after.st_ino):
        ledger.put_files([FileRecord(record.path, after.st_size, after.st_mtime_ns, after.st_ino, now)])
        scanned.unsettled.append(record.path)
        return
    ledger.put_files([replace(record, sha256=sha256, problem="", problems=0)])
    _accept(ledger, record, sha256, options, scanned, now)


def _accept(ledger: Ledger, record: FileRecord, sha256: str, options: str, scanned: InboxScan, now: float) -> None:
    """Enter the song, unless it is known: the same content is analysed once, whatever the file is called."""
    song = ledger.song(sha256, options)
    if song is None:
        song = SongRecord(sha256, options, record.path, SongState.waiting, now, arrived=now)
    elif song.state is SongState.failed:
        # Somebody put it back: it gets its tries again.
        song = song.to(SongState.waiting, now, path=record.path, failures=0, crashes=0, next_try=0.0, arrived=now)
    elif song.state is SongState.waiting and not os.path.exists(song.path):
        song = replace(song, path=record.path)
    else:
        if song.state is SongState.done:
            scanned.done_before.append(song)
        return
    ledger.put_song(song)
    scanned.accepted.append(song)


def _unreadable(ledger: Ledger, record: FileRecord, error: OSError, scanned: InboxScan, now: float) -> None:
    record = replace(record, since=now, problem=error.strerror or str(error), problems=record.problems + 1)
    ledger.put_files([record])
    scanned.unreadable.append(record)


def unchanged(record: FileRecord) -> bool:
    """Whether the file is still the one that was looked at."""
    try:
        status = os.stat(record.path)
    except OSError:
        return False
    return _same(record, status.st_size, status.st_mtime_ns, status.st_ino)


def _same(record: FileRecord, size: int, mtime_ns: int, inode: int) -> bool:
    return (record.size, record.mtime_ns, record.inode) == (size, mtime_ns, inode)
