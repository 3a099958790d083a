"""A problem of a document, and the JSON path it is named by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Problem:
    """One breach of the contract.

    json_path: where, such as `$.chords[3].end`. message: what is wrong, to be read after the path. code: which rule, such as NOT_SORTED.
    """

    json_path: str
    message: str
    code: str

    def __str__(self) -> str:
        return f"{self.json_path}: {self.message}"


def json_path(parts: Iterable[str | int]) -> str:
    """The JSON path of names and indices: `$.chords[3].end`; names that are not plain words in brackets (RFC 9535)."""
    return "$" + "".join(_segment(part) for part in parts)


def _segment(part: Any) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if _PLAIN_NAME.fullmatch(part) else f"[{shown(part)}]"


def shown(value: Any) -> str:
    """A value as it is shown in a message: one printable line of moderate length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        text = ascii(value[:80]) if not value[:80].isprintable() else repr(value[:80])
        return text if len(value) <= 80 else f"{text}…"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    return repr(value)
