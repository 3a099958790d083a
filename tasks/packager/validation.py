"""What is wrong with a Song Map: every breach of the schema and of what the schema cannot say, at once, each with its JSON path.

`validate` takes any Python value and never raises; `validate_file` takes any path. The rules beyond the schema are in `semantics`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError, validators

from schemas.song_map import load_schema
from tasks.packager.problems import Problem, json_path, shown
from tasks.packager.semantics import broken_rules

__all__ = ["MAX_BYTES", "Problem", "validate", "validate_file"]

#: The map of a song of half an hour has some ten megabytes.
MAX_BYTES: Final = 100_000_000
#: A Song Map has 8 levels; what is deeper is not one, and would exhaust the stack of whoever walks it.
MAX_DEPTH: Final = 50
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def validate_file(path: Path) -> list[Problem]:
    """The problems of a file; where it cannot be read as JSON, one problem at `$` that says why."""
    try:
        if not path.is_file():
            return [Problem("$", "is not a file" if path.exists() else "there is no such file", "UNREADABLE")]
        if path.stat().st_size > MAX_BYTES:
            return [Problem("$", f"has more than {MAX_BYTES // 1_000_000} MB", "TOO_LARGE")]
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        return [Problem("$", f"cannot be read: {getattr(error, 'strerror', None) or error}", "UNREADABLE")]
    return validate_text(content)


def validate_text(content: bytes) -> list[Problem]:
    """The problems of a document as it is written."""
    repeated: list[str] = []

    def gather(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.extend(sorted({name for name in names if names.count(name) > 1}))
        return found

    try:
        # NaN and Infinity are not JSON, but Python reads them; `malformed` finds them, with their paths.
        document = json.loads(content.decode("utf-8"), object_pairs_hook=gather)
    except UnicodeDecodeError as error:
        return [Problem("$", f"is not UTF-8: byte {error.start}", "NOT_JSON")]
    except RecursionError:
        return [Problem("$", "is nested too deep", "TOO_DEEP")]
    except ValueError as error:
        return [Problem("$", f"is not JSON: {error}", "NOT_JSON")]
    return [Problem("$", f"an object has the name {shown(name)} twice", "NOT_JSON") for name in repeated] + validate(document)


def validate(document: Any) -> list[Problem]:
    """Every problem of a document: of its form, of the schema, then of meaning. Empty if it is a valid Song Map. Never raises."""
    found = malformed(document)
    if any(problem.code in ("NOT_JSON", "TOO_DEEP") for problem in found):
        return found
    for error in _validator().iter_errors(document):
        found += _plain(error)
    found += broken_rules(document)
    return list(dict.fromkeys(found))


# --- the form: finite numbers, Unicode text, names that are text, no endless nesting ---------------------------------------------------


def malformed(document: Any) -> list[Problem]:
    """What no JSON document may hold. Where it is too deep, that is the only problem. Not recursive, and stops at cycles."""
    problems: list[Problem] = []
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
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


def _problems_at(path: tuple[str | int, ...], value: Any) -> Iterator[Problem]:
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


# --- the schema ------------------------------------------------------------------------------------------------------------------------


def _missing(validator: Any, required: list[str], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """`required`, naming what is missing by its path."""
    if validator.is_type(instance, "object"):
        yield from (ValidationError("is missing", path=[name]) for name in required if name not in instance)


def _unknown(validator: Any, allowed: Any, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """`additionalProperties`, one error for each name."""
    if not validator.is_type(instance, "object"):
        return
    for name, value in instance.items():
        if name in schema.get("properties", {}):
            continue
        if allowed is False:
            yield ValidationError("is not a field of the schema", path=[name])
        else:
            yield from validator.descend(value, allowed, path=name)


def _unmatched(validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """`pattern`, where `$` is the end of the text, as in ECMA 262; Python's also matches before a last line feed."""
    if validator.is_type(instance, "string") and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"is {shown(instance)}, which does not match {pattern}")


@lru_cache(maxsize=1)
def _validator() -> Any:
    own = {"required": _missing, "additionalProperties": _unknown, "pattern": _unmatched}
    return validators.extend(Draft202012Validator, own)(load_schema())


def _plain(error: ValidationError) -> Iterator[Problem]:
    """A schema error in plain words. Of an optional object, what is wrong inside it."""
    if error.validator == "anyOf" and isinstance(error.instance, dict):
        for inner in error.context or ():
            if not (inner.validator == "type" and inner.validator_value == "null"):
                yield from _plain(inner)
        return
    code = "SCHEMA_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(error.validator)).upper()
    yield Problem(json_path(error.absolute_path), _message(error), code)


def _message(error: ValidationError) -> str:
    wanted, value = error.validator_value, error.instance
    match error.validator:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return f"is {_kind(value)}, not {' or '.join(_KINDS[kind] for kind in kinds)}"
        case "anyOf":
            return f"is {_kind(value)}, not an object or null"
        case "const":
            return f"is {shown(value)}, not {shown(wanted)}"
        case "enum":
            return f"is {shown(value)}, not one of {', '.join(shown(choice) for choice in wanted)}"
        case "minimum":
            return f"is {shown(value)}, below {wanted}"
        case "exclusiveMinimum":
            return f"is {shown(value)}, not above {wanted}"
        case "maximum":
            return f"is {shown(value)}, above {wanted}"
        case "minItems":
            return f"has {len(value)} items, fewer than {wanted}"
        case "maxItems":
            return f"has {len(value)} items, more than {wanted}"
    return str(error.message)[:300]


_KINDS: Final = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | str):
        return _KINDS[{dict: "object", list: "array", str: "string"}[type(value)]]
    return shown(value)
