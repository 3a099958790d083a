"""What becomes of a song when its run has ended: done, tried again later, or moved to `failed` beside a report."""

from __future__ import annotations

import datetime
import os
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flows.folder_watch.ledger import FileRecord, Ledger, SongRecord, SongState
from flows.folder_watch.rules import DONE_FOLDER, FAILED_FOLDER, WatchRules
from flows.folder_watch.scan import unchanged
from tasks.common.errors import (
    AudioChanged,
    AudioEmpty,
    AudioInvalidSamples,
    AudioNotAudio,
    AudioNotFound,
    AudioNoTrack,
    AudioPathRefused,
    AudioSilent,
    AudioTooLong,
    AudioTooShort,
    AudioTruncated,
)
from tasks.common.storage.atomic import atomic_write, move_atomic
from tasks.ingest.file_names import as_text


class End(StrEnum):
    """How a run ended."""

    completed = "completed"
    failed = "failed"
    crashed = "crashed"
    cancelled = "cancelled"


@dataclass(frozen=True)
class RunEnd:
    """The end of a song's run, and what was said of it."""

    end: End
    message: str = ""


#: Codes of errors that say the file is not the one the run was started for: no fault of the song's.
_FILE_IS_ANOTHER = (AudioChanged.code, AudioNotFound.code)
#: Codes of errors that the file itself is the reason for: another try would end the same way.
_CONTENT_IS_BAD = tuple(
    error.code
    for error in (
        AudioEmpty,
        AudioInvalidSamples,
        AudioNoTrack,
        AudioNotAudio,
        AudioPathRefused,
        AudioSilent,
        AudioTooLong,
        AudioTooShort,
        AudioTruncated,
    )
)


def move_ended(ledger: Ledger, inbox: Path, song: SongRecord, run: RunEnd, rules: WatchRules, now: float) -> SongRecord | None:
    """Enter the end of a run, move files where that is due, and return the song's new record; None where the song is gone."""
    message = run.message.strip()
    if run.end is End.completed:
        done = song.to(SongState.done, now, message=message)
        ledger.put_song(done)
        if rules.move_done:
            move_finished(ledger, inbox, done)
        return done
    ledger.put_end(song, now, f"{run.end}: {message}" if message else run.end.value)
    there = [record.path for record in ledger.copies(song.sha256) if unchanged(record)]
    codes = message_codes(message)
    unseen = AudioNotFound.code in codes and song.path in there  # by the worker, that is: it would go on for ever
    if run.end is End.failed and (not there or (codes.intersection(_FILE_IS_ANOTHER) and not unseen)):
        return restart_elsewhere(ledger, song, now)
    failures = song.failures + (run.end is End.failed)
    crashes = song.crashes + (run.end is End.crashed)
    tried = song.to(SongState.waiting, now, failures=failures, crashes=crashes, message=message, run_id=None)
    hopeless = run.end is End.failed and bool(codes.intersection(_CONTENT_IS_BAD))
    if run.end is End.cancelled or hopeless or failures >= rules.attempts or crashes >= rules.crashes:
        return give_up(ledger, inbox, tried, now)
    tried = tried.to(SongState.waiting, now, next_try=now + (rules.pause(failures) if run.end is End.failed else 0.0))
    ledger.put_song(tried)
    return tried


def move_finished(ledger: Ledger, inbox: Path, song: SongRecord) -> None:
    """Move every file with the song's content to `done`."""
    for record in ledger.copies(song.sha256):
        _move(ledger, inbox, record, DONE_FOLDER)


def give_up(ledger: Ledger, inbox: Path, song: SongRecord, now: float) -> SongRecord:
    """Move the song's files to `failed`, each beside a report."""
    failed = song.to(SongState.failed, now)
    ledger.put_song(failed)
    for record in ledger.copies(song.sha256):
        if (moved := _move(ledger, inbox, record, FAILED_FOLDER)) is not None:
            write_report(moved, record, _tries(ledger, song), song.message)
    return failed


def give_up_unreadable(ledger: Ledger, inbox: Path, record: FileRecord) -> Path | None:
    """Move a file that cannot be read to `failed`, beside a report; return where it is now."""
    moved = _move(ledger, inbox, record, FAILED_FOLDER)
    if moved is not None:
        write_report(moved, record, [], f"The file cannot be read: {record.problem}. Check its permissions and the disk.")
    return moved


def write_report(moved: Path, record: FileRecord, tries: list[str], message: str) -> None:
    """A report for people beside a failed file."""
    lines = [
        f"{as_text(moved.name)} could not be analysed.",
        "",
        f"What happened: {message or 'see below'}",
        "",
        f"File:   {as_text(record.path)} ({record.size} bytes)",
        f"SHA-256: {record.sha256 or 'not read'}",
        *(["", "Tries:", *tries] if tries else []),
        "",
        "To try again, put the file back into the inbox.",
    ]
    atomic_write(moved.with_name(f"{moved.name}.report.txt"), ("\n".join(lines) + "\n").encode("utf-8", "replace"))


def message_codes(message: str) -> set[str]:
    """The codes of Performia's errors in a run's message: one may be the reason of another."""
    return set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+): ", message))


def restart_elsewhere(ledger: Ledger, song: SongRecord, now: float) -> SongRecord | None:
    """The file was replaced, renamed or deleted: go on with another file of the same content, or forget the song."""
    copies = [record for record in ledger.copies(song.sha256) if unchanged(record)]
    if not copies:
        ledger.forget_song(song)
        return None
    waiting = song.to(SongState.waiting, now, path=copies[0].path, run_id=None, next_try=now)
    ledger.put_song(waiting)
    return waiting


def _tries(ledger: Ledger, song: SongRecord) -> list[str]:
    def when(seconds: float) -> str:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    return [f"  {number}. {when(seconds)}  {message}" for number, seconds, message in ledger.ended(song)]


def _move(ledger: Ledger, inbox: Path, record: FileRecord, folder: str) -> Path | None:
    """Move a file that is still the one looked at below `folder` in the inbox, keeping its place; return where it is now.

    A file that was changed or taken away meanwhile stays: it is another one. So does one that must not be moved, for later.
    """
    source = Path(record.path)
    if not unchanged(record):
        return None
    target = _free_name(inbox / folder / source.relative_to(inbox))
    try:
        move_atomic(source, target)
    except OSError:
        return None
    ledger.forget_files([record.path])
    return target


def _free_name(path: Path) -> Path:
    """The path, or with a number where something is there already."""
    for number in range(2, 10_000):
        if not os.path.lexists(path):
            return path
        path = path.with_name(f"{path.stem.removesuffix(f' ({number - 1})')} ({number}){path.suffix}")
    return path.with_name(f"{path.stem} {time.time_ns()}{path.suffix}")
