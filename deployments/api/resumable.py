"""Uploads that go on where they broke off, as they lie on the disk, and who writes to one.

    uploads/resumable/ID.part    what has arrived; its size is the offset, so that nothing else can say another one
    uploads/resumable/ID.json    whose it is, how long it is to be, what it is called; the hash of its bytes once a job has them
    uploads/resumable/ID.lock    held while somebody writes

A day after the last byte they go. So they outlive every process, and any process of the API goes on with any of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import Field, ValidationError

from deployments.api.keys import Key
from deployments.api.problems import ProblemError
from deployments.api.uploads import Form, kept_folder
from schemas.results import Frozen
from tasks.common.errors import StorageError, TooManyRequests, UploadBusy, UploadConflict, UploadUnknown
from tasks.common.locks import try_to_hold
from tasks.common.settings import Settings
from tasks.common.storage.atomic import atomic_write

ID_PATTERN: Final = r"^[0-9a-f]{32}$"
_ID: Final = re.compile(ID_PATTERN)
_KEPT_SEC: Final = 24 * 3600.0
#: So many of a key may be under way or wait for a job: each may be as large as an upload may be.
_MOST_OF_KEY: Final = 20
_BUSY_SEC: Final = 5.0
_LOOK_SEC: Final = 0.05
_BLOCK: Final = 1 << 20

T = TypeVar("T")


class Facts(Frozen):
    """What is kept of an upload beside its bytes. metadata: as the sender wrote it. sha256: of its bytes, once a job has taken them."""

    who: str
    length: int = Field(ge=0)
    name: str
    metadata: str = ""
    sha256: str | None = None


@dataclass(frozen=True)
class Upload:
    """An upload that is there."""

    id: str
    folder: Path
    facts: Facts

    @property
    def part(self) -> Path:
        """Its bytes, until a job has taken them."""
        return self.folder / f"{self.id}.part"

    @property
    def record(self) -> Path:
        return self.folder / f"{self.id}.json"

    @property
    def lock(self) -> Path:
        return self.folder / f"{self.id}.lock"

    @property
    def offset(self) -> int:
        """How many bytes have arrived. Raises ProblemError of UploadUnknown."""
        if self.facts.sha256 is not None:
            return self.facts.length
        try:
            return self.part.stat().st_size
        except FileNotFoundError:
            raise _unknown() from None

    @property
    def expires(self) -> float:
        """When it goes, if nothing more arrives (seconds since the epoch)."""
        return _touched(self) + _KEPT_SEC


class Writers:
    """Who writes to an upload: one at a time, among all processes. In one process the latest, for a client that connects again has lost
    the connection before, whether this side has noticed or not.
    """

    def __init__(self) -> None:
        self._writing: dict[str, asyncio.Task[Any]] = {}

    async def write(self, upload: Upload, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Let the work be done, with the upload to itself, and return what it gives. Raises ProblemError of UploadBusy, and its errors."""
        async with self.alone(upload):
            task = asyncio.create_task(work())
            self._writing[upload.id] = task
            try:
                return await task
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if current is not None and current.cancelling():  # the server stops
                    raise
                raise ProblemError(UploadBusy("Another request goes on with the upload")) from None
            finally:
                if self._writing.get(upload.id) is task:
                    del self._writing[upload.id]

    @asynccontextmanager
    async def alone(self, upload: Upload) -> AsyncIterator[None]:
        """Nobody else writes while the block runs. Raises ProblemError of UploadBusy."""
        if (earlier := self._writing.get(upload.id)) is not None:
            earlier.cancel()
        until = time.monotonic() + _BUSY_SEC
        while (lock := try_to_hold(upload.lock)) is None:
            if time.monotonic() > until:
                raise ProblemError(UploadBusy("Another request writes to the upload"), {"retry-after": "5"})
            await asyncio.sleep(_LOOK_SEC)
        with lock:
            yield


def begin(settings: Settings, key: Key, length: int, name: str, metadata: str) -> Upload:
    """A new upload. Raises ProblemError of TooManyRequests, StorageError."""
    sweep_resumable(settings)
    folder = folder_of(settings)
    if sum(upload.facts.who == key.name and upload.facts.sha256 is None for upload in _all_of(folder)) >= _MOST_OF_KEY:
        raise ProblemError(TooManyRequests(f"{_MOST_OF_KEY} resumable uploads of the key may be there"), {"retry-after": "60"})
    upload = Upload(secrets.token_hex(16), folder, Facts(who=key.name, length=length, name=name, metadata=metadata))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        upload.part.touch()
        _write(upload)
    except OSError as error:
        raise ProblemError(StorageError(f"The upload cannot be kept: {error.strerror}")) from error
    return upload


def find(settings: Settings, upload_id: str, key: Key) -> Upload:
    """An upload of the key. Raises ProblemError of UploadUnknown, also where it is somebody else's."""
    upload = _read(folder_of(settings), upload_id)
    if upload is None or (upload.facts.who != key.name and not key.may("admin")) or upload.expires < time.time():
        raise _unknown()
    return upload


def remove(upload: Upload) -> None:
    """Forget an upload. The file that a job reads stays."""
    for path in (upload.part, upload.record, upload.lock):
        path.unlink(missing_ok=True)


def as_form(upload: Upload, settings: Settings) -> Form:
    """A whole upload as the file of a form. Raises ProblemError of UploadConflict, UploadUnknown where its bytes are no longer there."""
    if upload.facts.sha256 is not None:
        folder = kept_folder(upload.facts.sha256, settings)
        found = next((path for path in sorted(folder.glob("*")) if path.is_file() and not path.name.startswith(".")), None)
        if found is None:
            raise _unknown()
        return Form(found, upload.facts.name, upload.facts.length, upload.facts.sha256)
    if upload.offset < upload.facts.length:
        raise ProblemError(UploadConflict(f"Of the upload's {upload.facts.length} bytes, {upload.offset} have arrived"))
    return Form(upload.part, upload.facts.name, upload.facts.length, _sha256(upload.part))


def taken(upload: Upload, sha256: str) -> None:
    """A job has the bytes: they lie where it reads them. Sent again, the request for it finds them there."""
    _write(Upload(upload.id, upload.folder, upload.facts.model_copy(update={"sha256": sha256})))
    upload.part.unlink(missing_ok=True)


def sweep_resumable(settings: Settings) -> None:
    """Remove what nobody has written to for a day."""
    for upload in _all_of(folder_of(settings)):
        with suppress(OSError):
            if upload.expires < time.time() and (lock := try_to_hold(upload.lock)) is not None:
                with lock:
                    remove(upload)


def folder_of(settings: Settings) -> Path:
    """Where they lie."""
    return settings.uploads / "resumable"


def _all_of(folder: Path) -> Iterator[Upload]:
    for record in folder.glob("*.json"):
        if (upload := _read(folder, record.stem)) is not None:
            yield upload


def _read(folder: Path, upload_id: str) -> Upload | None:
    if not _ID.fullmatch(upload_id):
        return None
    try:
        return Upload(upload_id, folder, Facts.model_validate_json((folder / f"{upload_id}.json").read_bytes()))
    except (OSError, ValidationError):
        return None


def _write(upload: Upload) -> None:
    atomic_write(upload.record, upload.facts.model_dump_json().encode())


def _touched(upload: Upload) -> float:
    """When something was last done to it (seconds since the epoch); 0 where it has gone."""
    for path in (upload.part, upload.record):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unknown() -> ProblemError:
    return ProblemError(UploadUnknown("There is no upload of this id"))
