"""Whether a Python value is a JSON document at all: finite numbers, Unicode text, names that are text, no endless nesting."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

from tasks.packager.problems import Problem, json_path

#: A Song Map has 8 levels; what is deeper is not one, and would exhaust the stack of whoever walks it.
MAX_DEPTH: Final = 50
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


def malformed(document: Any) -> list[Problem]:
    """What no JSON document may hold. Where it is too deep, that is the only problem. Not recursive, and stops at cycles."""
    problems: list[Problem] = []
    pending: list[tuple[Path, Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        if len(path) > MAX_DEPTH:
            return [Problem("$", f"is nested more than {MAX_DEPTH} deep", "TOO_DEEP")]
        problems += _problems_at(path, value)
        if isinstance(value, dict):
            pending += [((*path, name), item) for name, item in reversed(value.items()) if isinstance(name, str)]
        elif isinstance(value, list):
            pending += [((*path, index), item) for index, item in reversed(list(enumerate(value)))]
    return problems


def _problems_at(path: Path, value: Any) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(json_path(path), f"is {value}, which is not a number in JSON", "NOT_FINITE")
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        yield Problem(json_path(path), "is a number too large to calculate with", "NOT_FINITE")
    elif isinstance(value, str) and _LONE_SURROGATE.search(value):
        yield Problem(json_path(path), "holds half a character (a lone surrogate)", "NOT_UNICODE")
    elif isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                yield Problem(json_path(path), f"has a name that is not text: {name!r:.80}", "NOT_JSON")
            elif _LONE_SURROGATE.search(name):
                yield Problem(json_path((*path, name)), "has half a character (a lone surrogate) in its name", "NOT_UNICODE")
    elif value is not None and not isinstance(value, str | bool | int | float | list):
        yield Problem(json_path(path), f"is not a JSON value but a {type(value).__name__}", "NOT_JSON")
