"""What a client of the HTTP API reads and writes: errors of problems, server-sent events, files that are counted as they are sent. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import httpx
from pydantic import ValidationError

from schemas.api.problem import Problem
from schemas.song_map import Stem
from tasks.common.errors import PerformiaError, ServiceRefused, SongMapInvalid, StorageError, all_errors
from tasks.common.progress import Progress
from tasks.common.storage.artifacts import sha256_file

#: Answers after which the same request may do: too many requests; a service, or the proxy before it, that is away for a moment.
_PASSING: Final = (429, 502, 503, 504)
_MOST_SHOWN: Final = 300
_BLOCK_FRAMES: Final = 1 << 18


def error_of(answer: httpx.Response) -> PerformiaError:
    """The error of an answer whose body has been read: that of its problem's code, else ServiceRefused."""
    try:
        return error_of_problem(Problem.model_validate_json(answer.content))
    except ValidationError:
        elsewhere = f" and sends to {answer.headers['location']}" if answer.is_redirect else ""
        return ServiceRefused(f"The service answered with status {answer.status_code}{elsewhere}")


def error_of_problem(problem: Problem) -> PerformiaError:
    """The error of a problem: of its code's class where this version knows it, else ServiceRefused with everything that was said."""
    detail = "; ".join([problem.detail, *(f"{part.where}: {part.what}" for part in problem.errors if part.what not in problem.detail)])
    known = next((error for error in all_errors() if error.code == problem.code), None)
    if known is None:
        return ServiceRefused(f"{problem.code}: {detail}"[:_MOST_SHOWN], problem.todo)
    return known(detail, problem.todo)


def pause_of(answer: httpx.Response, usual: float) -> float | None:
    """Seconds after which to ask again; None where that would change nothing. usual: where the answer does not say. Its body is read."""
    busy = answer.status_code == httpx.codes.CONFLICT and error_of(answer).code == "IDEMPOTENCY_KEY_BUSY"
    if answer.status_code not in _PASSING and not busy:
        return None
    said = answer.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else usual


async def event_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """The data of server-sent events (HTML Living Standard, 9.2.6). One that the end cuts off is left out."""
    data: list[str] = []
    async for line in lines:
        name, _, value = line.partition(":")
        if name == "data" and line:
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []


class CountedFile:
    """A file that httpx reads piece by piece, and that tells how much of it has been read."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress):
        self._file = file
        self._size = size
        self._progress = progress

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Raises StorageError where the disk fails."""
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise StorageError(f"The file cannot be read: {error.strerror or error}", "Check the disk") from error
        self._progress(min(1.0, self._file.tell() / max(1, self._size)), "")
        return piece


def is_the_stem(path: Path, stem: Stem) -> bool:
    """Whether a file is that of a stem of a Song Map."""
    if stem.file_sha256 is None:
        return samples_sha256(path) == stem.sha256
    return sha256_file(path) == stem.file_sha256


def samples_sha256(path: Path) -> str | None:
    """SHA-256 of a WAV's samples as a Song Map has it (32-bit float, interleaved, little-endian); None where it is no sound."""
    import soundfile

    digest = hashlib.sha256()
    try:
        with soundfile.SoundFile(path) as sound:
            for block in sound.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                digest.update(block.astype("<f4", copy=False).tobytes())
    except (soundfile.SoundFileError, OSError):
        return None
    return digest.hexdigest()


def not_understood(what: str, error: ValidationError | ValueError) -> PerformiaError:
    """The error of an answer of another version. what: the message, or `Song Map`."""
    first = error.errors()[0] if isinstance(error, ValidationError) else None
    where = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})" if first else ""
    if what == "Song Map":
        return SongMapInvalid(f"The service's Song Map is of another version{where}", todo="Use the service's version of Performia here")
    return ServiceRefused(f"The service's {what} is not understood{where}", "Use the service's version of Performia here")
