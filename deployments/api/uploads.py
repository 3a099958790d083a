"""What arrives: a form whose file is written to the disk as it comes, looked at meanwhile, and kept under the hash of its bytes.

    uploads/incoming/    not whole yet; left behind by a process that died, it is removed at the next start
    uploads/AB/ABCD…/    a whole file, under its own name
    uploads/resumable/   those that go on where they broke off: see `resumable`
    uploads/keys/        what each Idempotency-Key of the last day stands for

A client that sends a byte a second holds up nothing but itself: what waits is a coroutine with an open file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from deployments.api.multipart import FormInvalid, FormParser, Part, boundary_of
from deployments.api.problems import ProblemError
from tasks.common.errors import (
    IdempotencyKeyBusy,
    IdempotencyKeyReused,
    PerformiaError,
    RequestInvalid,
    StorageError,
    UploadBrokenOff,
    UploadTooLarge,
)
from tasks.common.locks import Lock, try_to_hold
from tasks.common.memory import return_free_memory
from tasks.common.settings import Settings
from tasks.common.storage.atomic import atomic_write, move_atomic, remove_abandoned, unfinished_name
from tasks.packager.folder import safe_name

#: The field of a form that names a resumable upload in place of a file.
UPLOAD_FIELD: Final = "upload"
_GIB: Final = 1 << 30
#: So much is written at once, so that few threads are asked for much.
_BLOCK: Final = 1 << 20
#: The beginning of a file is looked at once so much of it is there.
BEGINNING: Final = 1 << 18
#: All fields but the file together, and what a form has around its fields.
_MOST_OF_FIELDS: Final = 1 << 20
_AROUND: Final = 1 << 16
#: Of an upload of which nothing arrives for so long, nothing more is expected.
_SILENCE_SEC: Final = 60.0
#: Nor of one that is slower than this after a minute (bytes a second): it would keep one of its key's places for days.
_SLOWEST: Final = 4096.0
_KEY_SEC: Final = 24 * 3600.0
_ENDING: Final = re.compile(r"[^A-Za-z0-9]")


@dataclass
class Form:
    """A form that has arrived. path: its file, in `incoming`. name: what the sender calls it. fields: the others, as text."""

    path: Path
    name: str = ""
    size: int = 0
    sha256: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def arriving(request: Request, settings: Settings, look: Callable[[Path], None]) -> AsyncIterator[Form]:
    """Read the form of a request; its file is gone at the end of the block, unless it was `kept`.

    look: is called with the file, in a thread, when its beginning is there. Raises ProblemError of RequestInvalid, UploadTooLarge,
    UploadBrokenOff, StorageError, and of what `look` raises.
    """
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        raise ProblemError(RequestInvalid("The request is no form with a file", "Send `multipart/form-data` with the field `file`"))
    most = most_bytes(settings)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most + _MOST_OF_FIELDS + _AROUND:
        raise ProblemError(too_large(settings))
    path = unfinished_name(settings.uploads / "incoming" / "upload")
    form = Form(path)
    writer = _Writer(form, most, settings, look)
    try:
        try:
            await writer.open()
            await _read(request, FormParser(boundary), writer)
            await writer.finish()
        except OSError as error:
            raise ProblemError(StorageError(f"The upload cannot be kept: {error.strerror}")) from error
        except PerformiaError as error:
            raise ProblemError(named_as(error, {str(path): form.name})) from error
        yield form
    finally:
        writer.close()
        path.unlink(missing_ok=True)
        return_free_memory()


async def pieces_of(request: Request) -> AsyncIterator[bytes]:
    """The body of a request as it arrives. Raises ProblemError of UploadBrokenOff where it stops, or hardly moves."""
    pieces = request.stream().__aiter__()
    began, arrived = time.monotonic(), 0
    try:
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces), _SILENCE_SEC)
            except StopAsyncIteration:
                return
            arrived += len(piece)
            took = time.monotonic() - began
            if took > _SILENCE_SEC and arrived < took * _SLOWEST:
                raise TimeoutError
            yield piece
    except (ClientDisconnect, TimeoutError) as error:
        raise ProblemError(UploadBrokenOff("Too little of the upload arrives")) from error


async def _read(request: Request, parser: FormParser, writer: _Writer) -> None:
    try:
        async for piece in pieces_of(request):
            for event in parser.feed(piece):
                if isinstance(event, Part):
                    await writer.begin(event)
                else:
                    await writer.add(event.content)
        parser.finish()
    except FormInvalid as error:
        raise ProblemError(RequestInvalid(f"The form is not understood: {error}")) from error


class _Writer:
    """Puts the parts of a form where they belong."""

    def __init__(self, form: Form, most: int, settings: Settings, look: Callable[[Path], None]):
        self._form = form
        self._most = most
        self._settings = settings
        self._look = look
        self._looked = False
        self._digest = hashlib.sha256()
        self._block = bytearray()
        self._file: Any = None
        self._part: Part | None = None
        self._text = bytearray()
        self._texts = 0

    async def open(self) -> None:
        self._file = await asyncio.to_thread(self._opened)

    async def begin(self, part: Part) -> None:
        """Another field begins."""
        self._end_text()
        if part.name == "file":
            if self._form.name:
                raise ProblemError(RequestInvalid("The form has two files"))
            self._form.name = public_name(part.file or "")
        elif part.file is not None and part.file != "" and part.name not in ("options", "lyrics", "corrections"):
            raise ProblemError(RequestInvalid("The form has a file in another field than `file`"))
        self._part = part

    async def add(self, content: bytes) -> None:
        """More of the field that began last."""
        if self._part is None or self._part.name != "file":
            self._texts += len(content)
            if self._texts > _MOST_OF_FIELDS:
                raise ProblemError(RequestInvalid("The fields beside the file are longer than a megabyte"))
            self._text += content
            return
        self._form.size += len(content)
        if self._form.size > self._most:
            raise ProblemError(too_large(self._settings))
        self._block += content
        if len(self._block) >= (_BLOCK if self._looked else BEGINNING):
            await self._flush()
            if not self._looked:
                self._looked = True
                await asyncio.to_thread(self._look, self._form.path)

    async def finish(self) -> None:
        """The form is whole."""
        self._end_text()
        if bool(self._form.name) == (UPLOAD_FIELD in self._form.fields):
            what = "The form has a file and an upload" if self._form.name else "The form has no file"
            raise ProblemError(RequestInvalid(what, "Send it as the field `file`, or the id of a finished one as the field `upload`"))
        await self._flush()
        self._form.sha256 = self._digest.hexdigest()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self) -> Any:
        self._form.path.parent.mkdir(parents=True, exist_ok=True)
        return self._form.path.open("wb")

    async def _flush(self) -> None:
        block, self._block = self._block, bytearray()

        def write() -> None:
            self._digest.update(block)
            self._file.write(block)
            self._file.flush()

        await asyncio.to_thread(write)

    def _end_text(self) -> None:
        if self._part is not None and self._part.name != "file":
            try:
                self._form.fields[self._part.name] = self._text.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ProblemError(RequestInvalid(f"The field {self._part.name!r} is no UTF-8")) from error
        self._text = bytearray()


def kept(form: Form, settings: Settings) -> Path:
    """Put a form's file where the runs read it; the file of the same bytes that lies there already, where there is one.

    Raises StorageError.
    """
    folder = kept_folder(form.sha256, settings)
    try:
        if folder.is_dir():
            for earlier in sorted(folder.iterdir()):
                if earlier.is_file() and not earlier.name.startswith(".") and earlier.stat().st_size == form.size:
                    return earlier
        target = folder / file_name(form.name)
        move_atomic(form.path, target)
    except OSError as error:
        raise StorageError(f"The upload cannot be kept: {error.strerror}") from error
    return target


def kept_folder(sha256: str, settings: Settings) -> Path:
    """Where the file with these bytes lies."""
    return settings.uploads / sha256[:2] / sha256


def forget_upload(path: Path, settings: Settings) -> None:
    """Remove an uploaded file, and its folder; a file that lies anywhere else is left alone."""
    folder = path.parent
    if folder.parent.parent != settings.uploads.absolute() and folder.parent.parent != settings.uploads:
        return
    path.unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        try:
            empty.rmdir()
        except OSError:
            return


def sweep(settings: Settings) -> None:
    """Remove what processes that died have left, and the keys of the day before."""
    remove_abandoned(settings.uploads / "incoming")
    for record in (settings.uploads / "keys").glob("*.json"):
        try:
            if time.time() - record.stat().st_mtime > _KEY_SEC:
                record.unlink(missing_ok=True)
                record.with_suffix(".lock").unlink(missing_ok=True)
        except OSError:
            continue


def public_name(name: str) -> str:
    """What a sender calls a file, without folders, on one line."""
    last = re.split(r"[\\/]", name)[-1]
    return "".join(character if character.isprintable() else " " for character in last).strip()[:200] or "song"


def file_name(name: str) -> str:
    """A name for the file on the disk, which every file system takes."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem:
        return safe_name(name)
    ending = _ENDING.sub("", ending)[:8]
    return f"{safe_name(stem)}.{ending}" if ending else safe_name(stem)


def named_as(error: PerformiaError, names: Mapping[str, str]) -> PerformiaError:
    """An error in which other names stand for some texts."""
    what = error.what
    for path, name in names.items():
        what = what.replace(path, name)
    return type(error)(what, error.what_to_do)


class KeyedRequest:
    """One request with an Idempotency-Key; without one, every request is its own.

    async with KeyedRequest.of(settings, who, key) as keyed:
        keyed.earlier(fingerprint) or keyed.remember(fingerprint, job)
    """

    def __init__(self, record: Path | None):
        self._record = record
        self._lock: Lock | None = None

    @classmethod
    def of(cls, settings: Settings, who: str, key: str | None) -> KeyedRequest:
        """who: whose key it is; two may use the same one."""
        if key is None:
            return cls(None)
        name = hashlib.sha256(f"{who}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cls(settings.uploads / "keys" / f"{name}.json")

    async def __aenter__(self) -> KeyedRequest:
        """Raises ProblemError of IdempotencyKeyBusy."""
        if self._record is not None:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            self._lock = try_to_hold(self._record.with_suffix(".lock"))
            if self._lock is None:
                raise ProblemError(IdempotencyKeyBusy("The request with this key is still arriving"), {"retry-after": "2"})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def earlier(self, fingerprint: str) -> str | None:
        """The job that an earlier request with this key made. Raises ProblemError of IdempotencyKeyReused where it asked for another."""
        if self._record is None:
            return None
        try:
            if time.time() - self._record.stat().st_mtime > _KEY_SEC:
                return None
            known = json.loads(self._record.read_bytes())
            request, job = str(known["request"]), str(known["job"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if request != fingerprint:
            raise ProblemError(IdempotencyKeyReused("The key stands for another request"))
        return job

    def remember(self, fingerprint: str, job: str) -> None:
        """This request made this job."""
        if self._record is not None:
            atomic_write(self._record, json.dumps({"request": fingerprint, "job": job}).encode())


def most_bytes(settings: Settings) -> int:
    """How long a file may be."""
    return int(settings.api_max_upload_gib * _GIB)


def too_large(settings: Settings) -> UploadTooLarge:
    """The error of a file that is longer."""
    return UploadTooLarge(f"An upload may have {settings.api_max_upload_gib:g} GiB")
