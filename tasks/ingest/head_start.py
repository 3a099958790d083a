"""What a command finds out about a song before the song's run, handed on to the run, so that nothing of it is done twice.

    known = look_at(song)
    decode = ingest_song(song, ctx, known.sha256, known, reading)
    with replace(known, source=decode, reading=reading).handed_on():
        analyze_song(song)

It holds for as long as the file is the one that was looked at: the file system tells, without a byte being read. It travels in the context
of the calling code, which Prefect gives to the flow and to the steps that run in the flow's process; elsewhere there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from schemas.options import Reading
from schemas.results import SongSource
from tasks.common.settings import get_settings
from tasks.ingest.checks import file_identity, refuse_path

_handed_on: ContextVar[HeadStart | None] = ContextVar("head_start", default=None)


class FileState(NamedTuple):
    """Of a file, what changes whenever its content does: a write sets `ctime_ns`, which no program can set back."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class HeadStart:
    """A song that is known before its run: nothing shows without decoding that it cannot be analysed (`refuse_early`).

    state: of the file, before it was read. sha256: of its bytes. source: its decode, None where it was not decoded. reading: how it was.
    """

    path: Path
    state: FileState
    sha256: str
    source: SongSource | None = None
    reading: Reading = Reading()  # noqa: RUF009 (frozen)

    def decode_for(self, reading: Reading, identity: str | None) -> SongSource | None:
        """The decode of the file with this SHA-256, if it was read so."""
        return self.source if self.sha256 == identity and self.reading == reading else None

    def holds(self) -> bool:
        """Whether the file is still the one that was looked at."""
        try:
            return _state_of(self.path) == self.state
        except OSError:
            return False

    @contextmanager
    def handed_on(self) -> Iterator[None]:
        """Runs of this song that are started inside know what is known."""
        token = _handed_on.set(self)
        try:
            yield
        finally:
            _handed_on.reset(token)


def look_at(path: Path) -> HeadStart:
    """Hash a song that `refuse_early` has let pass. Raises AudioError."""
    refuse_path(path, get_settings())
    state = _state_of(path)
    return HeadStart(path, state, file_identity(path))


def head_start_of(path: Path) -> HeadStart | None:
    """What was handed on about a song; None where nothing was, or the file has changed since."""
    known = _handed_on.get()
    return known if known is not None and known.path == path and known.holds() else None


def identity_of(path: Path) -> str:
    """SHA-256 of the file's bytes, read where it is not known. Raises AudioError."""
    known = head_start_of(path)
    return file_identity(path) if known is None else known.sha256


def _state_of(path: Path) -> FileState:
    found = path.stat()
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
