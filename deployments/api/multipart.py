"""Forms with files (`multipart/form-data`, RFC 7578), read piece by piece: nothing of a file is kept, however large it is."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

_MOST_OF_HEADERS: Final = 8192
_MOST_PADDING: Final = 64
_BOUNDARY: Final = re.compile(r"""[; ]boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
_PARAMETER: Final = re.compile(r""";\s*([\w!#$%&'+^`{}~.*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)""")


class FormInvalid(ValueError):
    """What arrives is no form, or ends before it is whole."""


@dataclass(frozen=True)
class Part:
    """A field begins. file: the name of its file as the sender has it; None where it is text."""

    name: str
    file: str | None


@dataclass(frozen=True)
class Data:
    """Bytes of the field that began last."""

    content: bytes


def boundary_of(content_type: str) -> bytes | None:
    """What separates the parts, from the header `Content-Type`; None where that is of something else."""
    kind, _, _ = content_type.partition(";")
    found = _BOUNDARY.search(content_type)
    if kind.strip().lower() != "multipart/form-data" or found is None:
        return None
    return (found[1] or found[2]).encode("latin-1", "replace")


class FormParser:
    """`feed` it what arrives; it says what was in it, in order. `finish` when nothing more comes."""

    def __init__(self, boundary: bytes):
        self._mark = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # before the first mark there is no line
        self._state = "preamble"
        self._skip = 0

    def feed(self, content: bytes) -> Iterator[Part | Data]:
        """Raises FormInvalid."""
        self._buffer += content
        while self._state != "end":
            if self._state == "headers":
                end = self._buffer.find(b"\r\n\r\n")
                if end < 0:
                    if len(self._buffer) > _MOST_OF_HEADERS:
                        raise FormInvalid("the headers of a part do not end")
                    return
                yield _part(bytes(self._buffer[:end]))
                # The end of the last line stays, for the mark of an empty part begins with it; of any other, it is left out later.
                del self._buffer[: end + 2]
                self._state, self._skip = "body", 2
                continue
            found = yield from self._to_mark()
            if not found:
                return

    def finish(self) -> None:
        """Raises FormInvalid where the last mark has not come."""
        if self._state != "end":
            raise FormInvalid("the form is not whole")

    def _to_mark(self) -> Generator[Part | Data, None, bool]:
        """Give out what stands before the next mark. Returns whether the mark is there, and was taken away."""
        start = 0
        while True:
            place = self._buffer.find(self._mark, start)
            if place < 0:
                yield from self._give(max(0, len(self._buffer) - len(self._mark) + 1))
                return False
            after = self._buffer[place + len(self._mark) : place + len(self._mark) + _MOST_PADDING]
            if after.startswith(b"--"):
                yield from self._give(place)
                self._state = "end"
                self._buffer.clear()
                return True
            line, ended, _ = after.partition(b"\r\n")
            if ended and not line.strip(b" \t"):
                yield from self._give(place)
                # The line's end stays, so that a part without headers is seen as such.
                del self._buffer[: len(self._mark) + len(line)]
                self._state = "headers"
                return True
            if not ended and len(after) < _MOST_PADDING and not bytes(after).strip(b" \t\r-"):
                yield from self._give(place)
                return False  # what follows the mark is still to come
            start = place + 1

    def _give(self, end: int) -> Iterator[Data]:
        skipped = min(self._skip, end)
        content = bytes(self._buffer[skipped:end])
        self._skip -= skipped
        del self._buffer[:end]
        if self._state == "body" and content:
            yield Data(content)


def _part(headers: bytes) -> Part:
    """The field that a part's headers name. Raises FormInvalid."""
    for line in headers.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data"):
            parameters = {key.lower(): _unquoted(text) for key, text in _PARAMETER.findall(value)}
            if "name" in parameters:
                return Part(parameters["name"], _extended(parameters.get("filename*")) or parameters.get("filename"))
    raise FormInvalid("a part has no name")


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        # Browsers escape the quotation mark only, by a backslash or as they do in addresses.
        text = text[1:-1].replace('\\"', '"').replace("%22", '"')
    return text


def _extended(text: str | None) -> str | None:
    """A name of RFC 8187: `UTF-8''Na%C3%AFve.mp3`."""
    charset, _, rest = (text or "").partition("'")
    _, _, encoded = rest.partition("'")
    if charset.lower() not in ("utf-8", "iso-8859-1") or not encoded:
        return None
    return unquote_to_bytes(encoded).decode(charset, "replace")
