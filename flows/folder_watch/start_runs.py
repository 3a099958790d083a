"""Which songs start now: as many as there is room for, in the order they arrived."""

from __future__ import annotations

from pathlib import Path

from flows.folder_watch.endings import restart_elsewhere
from flows.folder_watch.ledger import Ledger, SongRecord, SongState
from flows.folder_watch.rules import WatchRules
from flows.folder_watch.scan import unchanged
from schemas.options import AnalysisOptions
from schemas.results import digest_of
from tasks.ingest.file_names import as_text, is_text
from tasks.packager.folder import safe_name


def options_digest(options: AnalysisOptions) -> str:
    """What stands for the options in the ledger and in idempotency keys."""
    return str(digest_of(options.identity()))[:16]


def idempotency_key(song: SongRecord) -> str:
    """The server makes one run for a key: the song's content, its options and the number of the try."""
    return idempotency_key_of(song.sha256, song.options, song.tries)


def idempotency_key_of(sha256: str, options: str, tries: int) -> str:
    """The same for whoever starts runs: a song in the inbox that also arrives at the HTTP API is analysed once. options: their digest."""
    return f"performia-{sha256}-{options}-{tries}"


def place_in(outbox: Path, inbox: Path, song: SongRecord) -> Path:
    """The folder of the outbox that mirrors the one of the inbox where the song lies. Names that are no UTF-8 are written as text."""
    parts = Path(song.path).relative_to(inbox).parent.parts
    return outbox.joinpath(*(part if is_text(part) else safe_name(as_text(part)) for part in parts))


def songs_to_start(ledger: Ledger, rules: WatchRules, now: float) -> list[SongRecord]:
    """The songs to start now, entered as starting: first those that a killed watcher did not get to, with the same key as then.

    A song whose file is no longer the one that was accepted is taken up by another name it has, or forgotten.
    """
    starting = ledger.songs(SongState.starting)
    room = rules.at_once - len(ledger.songs(SongState.running)) - len(starting)
    for song in ledger.due(now, room):
        here = next((record for record in ledger.copies(song.sha256) if record.path == song.path and unchanged(record)), None)
        taken = song if here else restart_elsewhere(ledger, song, now)
        if taken is not None:
            starting.append(taken.to(SongState.starting, now, tries=taken.tries + 1, message=""))
            ledger.put_song(starting[-1])
    return starting
