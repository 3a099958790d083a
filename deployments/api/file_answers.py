"""Files over HTTP as RFC 9110 has them: conditional requests (13), ranges (14), and names that no tag can break out of (RFC 6266, 8187).

Starlette's FileResponse is not used: it answers 416 where one of several ranges cannot be satisfied and not only where none can, 400 for a
unit that it does not know, applies `Range` to HEAD, and knows neither `If-None-Match` nor `If-Modified-Since`.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from deployments.api.problems import ProblemError, answer_with
from tasks.common.errors import RangeUnsatisfiable, SongFileMissing
from tasks.packager.folder import safe_name

_CHUNK: Final = 256 * 1024
#: More ranges than a player asks for are answered with the whole file, which RFC 9110 (14.2) leaves to the server.
_MOST_RANGES: Final = 32
_RANGE: Final = re.compile(r"(\d{1,18})-(\d{0,18})|-(\d{1,18})", re.ASCII)
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ENDING: Final = re.compile(r"[0-9A-Za-z]{1,8}")
#: What is left out of the name for old browsers, each of which reads it in a way of its own.
_NO_TOKEN: Final = re.compile(r"[^\w !#$&+.^`{}~()\[\],-]", re.ASCII)
#: What a browser may do with a file that it is led to: show and play it.
POLICY: Final = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file to send. name: what a browser calls it when it is saved. dated: whether its time is that of its content."""

    path: Path
    media_type: str
    name: str
    dated: bool = True


def file_answer(request: Request, file: ServedFile) -> Response:
    """The answer to GET or HEAD of a file. Raises ProblemError of SongFileMissing where it has gone."""
    try:
        content = file.path.open("rb", buffering=0)
    except OSError as error:
        raise ProblemError(SongFileMissing("The file is not there any more")) from error
    return _answer(request, file, content)


def tags_in(header: str) -> frozenset[str]:
    """The strong tags of an `If-Match`: a weak one stands for no certain state, and matches none."""
    return frozenset(tag for tag in (item.strip() for item in header.split(",")) if _TAG.fullmatch(tag) and not tag.startswith("W/"))


def conditional(request: Request, etag: str, modified: float | None = None) -> Response | None:
    """304 where the client has this state already. modified: seconds since the epoch, where that says something."""
    known = request.headers.get("if-none-match")
    if known is not None:
        same = known.strip() == "*" or etag in _TAG.findall(known)
    else:
        since = _date(request.headers.get("if-modified-since"))
        same = since is not None and modified is not None and int(modified) <= since
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_validators(etag, modified)) if same else None


def spans_of(header: str | None, size: int) -> list[Span] | None:
    """The parts of a file that `Range` asks for, as (first byte, end): None for all of it, none where there are none. Pure."""
    unit, separator, asked = (header or "").partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return None
    found: list[Span] = []
    parts = [part.strip(" \t") for part in asked.split(",")]
    parts = [part for part in parts if part]
    if not parts or len(parts) > _MOST_RANGES:
        return None
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None:
            return None  # what is malformed may be ignored
        first, last, suffix = match.groups()
        if suffix is not None:
            begin, end = max(size - int(suffix), 0), size
        else:
            begin, end = int(first), min(int(last) + 1, size) if last else size
            if last and int(last) < int(first):
                return None
        if begin < end:
            found.append((begin, end))
    return _apart(found)


def content_disposition(name: str) -> str:
    """The header that names a file, for a browser that saves it: ASCII for old ones, UTF-8 for all others."""
    stem, _, ending = name.rpartition(".")
    if not stem or not _ENDING.fullmatch(ending):
        stem, ending = name, ""
    stem, ending = safe_name(stem), f".{ending}" if ending else ""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    plain = (_NO_TOKEN.sub("_", plain).strip(" .") or "song") + ending
    if plain == stem + ending:
        return f'inline; filename="{plain}"'
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(stem + ending, safe='')}"


def _answer(request: Request, file: ServedFile, content: FileIO) -> Response:
    status = os.fstat(content.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ProblemError(SongFileMissing("The file is not there any more"))
    modified = status.st_mtime if file.dated else None
    etag = _etag(file, status)
    if (unchanged := conditional(request, etag, modified)) is not None:
        return unchanged
    headers = {
        **_validators(etag, modified),
        "accept-ranges": "bytes",
        "content-disposition": content_disposition(file.name),
        "content-security-policy": POLICY,
    }
    size = status.st_size
    if request.method == "HEAD":  # ranges are defined for GET alone
        return Response(headers={**headers, "content-length": str(size)}, media_type=file.media_type)
    spans = spans_of(request.headers.get("range"), size) if _is_same(request.headers.get("if-range"), etag, modified) else None
    if spans == []:
        error = ProblemError(
            RangeUnsatisfiable(f"The file has {size} bytes"), {"content-range": f"bytes */{size}", "accept-ranges": "bytes"}
        )
        return answer_with(error, request.url.path)
    if spans is None:
        headers["content-length"] = str(size)
        return StreamingResponse(_sent(content, [(b"", (0, size))]), headers=headers, media_type=file.media_type)
    if len(spans) == 1:
        begin, end = spans[0]
        headers |= {"content-length": str(end - begin), "content-range": f"bytes {begin}-{end - 1}/{size}"}
        parts = [(b"", spans[0])]
        media_type = file.media_type
    else:
        boundary = secrets.token_hex(13)
        parts = _parts(spans, boundary, file.media_type, size)
        headers["content-length"] = str(sum(len(before) + end - begin for before, (begin, end) in parts))
        media_type = f"multipart/byteranges; boundary={boundary}"
    return StreamingResponse(_sent(content, parts), HTTPStatus.PARTIAL_CONTENT, headers=headers, media_type=media_type)


def _parts(spans: Sequence[Span], boundary: str, media_type: str, size: int) -> list[tuple[bytes, Span]]:
    """What stands before each part of the file, and the part; the last one is empty."""
    found = []
    for number, (begin, end) in enumerate(spans):
        head = f"--{boundary}\r\ncontent-type: {media_type}\r\ncontent-range: bytes {begin}-{end - 1}/{size}\r\n\r\n"
        end_of_last = "\r\n" if number else ""
        found.append((f"{end_of_last}{head}".encode("ascii"), (begin, end)))
    return [*found, (f"\r\n--{boundary}--\r\n".encode("ascii"), (0, 0))]


async def _sent(content: FileIO, parts: Sequence[tuple[bytes, Span]]) -> AsyncIterator[bytes]:
    """The file as it was opened: whoever replaces it meanwhile does not change what is sent."""
    with content:
        for before, (begin, end) in parts:
            if before:
                yield before
            while begin < end:
                chunk = await anyio.to_thread.run_sync(os.pread, content.fileno(), min(_CHUNK, end - begin), begin)
                if not chunk:
                    return  # cut short; the client sees that by the length
                begin += len(chunk)
                yield chunk


def _apart(spans: list[Span]) -> list[Span]:
    """The same bytes without asking for any twice; in the order that was asked for where none were."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return spans if len(merged) == len(spans) else merged


def _is_same(if_range: str | None, etag: str, modified: float | None) -> bool:
    """Whether the client's part is of this state: by a strong tag, or by the exact date. True where it does not say of which it is."""
    if if_range is None:
        return True
    if '"' in if_range:
        return if_range.strip() == etag
    date = _date(if_range)
    return date is not None and modified is not None and date == int(modified)


def _etag(file: ServedFile, status: os.stat_result) -> str:
    """A strong tag: files are replaced, never changed. One that is counted as used changes its time and nothing else."""
    state = (file.path.name, status.st_size, status.st_ino, status.st_mtime_ns if file.dated else 0)
    return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"'


def _validators(etag: str, modified: float | None) -> dict[str, str]:
    headers = {"etag": etag, "cache-control": "no-cache"}
    if modified is not None:
        headers["last-modified"] = email.utils.formatdate(modified, usegmt=True)
    return headers


def _date(text: str | None) -> int | None:
    try:
        return int(email.utils.parsedate_to_datetime(text).timestamp()) if text else None
    except (ValueError, TypeError, OverflowError):
        return None
