"""Records: the stored results of the step cache, each a JSON file named by its key, in a directory or behind any fsspec URL.

Others may write to a shared store, and a record names code: the serializer it is read with, and the class of its result. Prefect would load
whatever it names, a pickle too. So every record is looked at before Prefect sees it, and only JSON that holds results of Performia's own
types passes. Nothing here knows about Prefect.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from schemas import results
from tasks.common.errors import StorageError
from tasks.common.settings import is_remote, local_path
from tasks.common.storage.artifacts import is_young
from tasks.common.storage.atomic import atomic_write
from tasks.common.storage.remote import RemoteFiles

logger = logging.getLogger(__name__)

#: What of a record's metadata is kept; the rest would tell Prefect where else to look, and with what.
_KEPT: Final = ("storage_key", "prefect_version")


#: A record that has expired is read by the run that wrote it, and found by no other.
_LONG_AGO: Final = "1970-01-01T00:00:00Z"
#: So long a result stands whose better engine failed for good, as it seemed: a package or a driver may have been mended since. To try that
#: engine in every run would cost its time in every run.
_TRIED_AGAIN_AFTER: Final = datetime.timedelta(days=1)


class RecordRefused(ValueError):
    """A record that is not what Performia writes."""


class Records:
    """The records below a directory or URL. Raises StorageError where the store fails, FileNotFoundError where there is no record."""

    def __init__(self, url: str):
        self.url = url
        self._root = None if is_remote(url) else Path(local_path(url))
        self._remote = RemoteFiles(url)

    def read(self, key: str) -> bytes:
        """A record that may be read with Prefect. Raises RecordRefused."""
        return checked(self._root.joinpath(key).read_bytes() if self._root is not None else self._remote.read(key))

    def write(self, key: str, content: bytes) -> None:
        """Store a record: whole or not at all. Raises RecordRefused for what could not be read again."""
        content = checked(content, until=_now() + _TRIED_AGAIN_AFTER)
        try:
            if self._root is None:
                self._remote.write(key, content)
            else:
                atomic_write(self._root / key, content)
        except OSError as error:
            raise StorageError(f"Could not store the result {key}: {error}") from error

    def use(self, key: str) -> None:
        """Count a record as used now, so that it is not pruned. Best effort."""
        with suppress(OSError, StorageError):
            if self._root is not None:
                os.utime(self._root / key)
            elif not is_young(self._remote.written(key)):
                self._remote.write(key, self._remote.read(key))  # an object's time is that of its upload

    def drop(self, key: str) -> None:
        """Remove a record, if it is there."""
        with suppress(FileNotFoundError):
            if self._root is None:
                self._remote.remove(key)
            else:
                (self._root / key).unlink()


def checked(content: bytes, until: datetime.datetime | None = None) -> bytes:
    """A record without anything that names code but our own. Raises RecordRefused.

    until: when it expires, should its better engine have failed; of a record that is read, it says so itself.
    """
    try:
        record = json.loads(content)
        metadata, result = record["metadata"], record["result"]
        if metadata["serializer"]["type"] != "json" or not isinstance(result, str):
            raise RecordRefused("it is not JSON")
        if json.loads(result, object_hook=_refuse_foreign).get("__class__") not in _result_classes():
            raise RecordRefused("it holds no result of a step")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordRefused(f"not a record of Performia: {error}") from error
    kept = {name: str(metadata[name]) for name in _KEPT if metadata.get(name)}
    report = _report(result)
    if report.get("provisional") is True:
        kept["expiration"] = _LONG_AGO
    elif report.get("fallen_back") is True:
        kept["expiration"] = until.isoformat() if until else _soon(str(metadata.get("expiration")))
    return json.dumps({"metadata": {**kept, "serializer": {"type": "json"}}, "result": result}).encode()


def result_of(content: bytes) -> Any:
    """The result of a checked record, as plain JSON."""
    return json.loads(json.loads(content)["result"])


def _report(result: str) -> dict[str, Any]:
    """How a result came about; see `StepReport`."""
    report = json.loads(result).get("data", {}).get("report", {})
    return report if isinstance(report, dict) else {}


def _soon(time: str) -> str:
    """The time that a record notes of itself, unless it is none that Performia would have noted."""
    try:
        expires = datetime.datetime.fromisoformat(time)
        return time if expires <= _now() + _TRIED_AGAIN_AFTER else _LONG_AGO
    except (ValueError, TypeError):  # no time, or none of a time zone
        return _LONG_AGO


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _refuse_foreign(value: dict[str, Any]) -> dict[str, Any]:
    if "__exc_type__" in value or ("__class__" in value and value["__class__"] not in _result_classes()):
        raise RecordRefused("it names a class that is no result")
    return value


@lru_cache(maxsize=1)
def _result_classes() -> frozenset[str]:
    return frozenset(
        f"{value.__module__}.{value.__qualname__}"
        for value in vars(results).values()
        if isinstance(value, type) and issubclass(value, results.StepResult)
    )
