"""The figures of a run as one JSON document, in which each part has its own date and hardware:

    {"parts": {"song": {"date": "2026-01-31", "hardware": {"cpu": ..., "cores": 2, ...}, ...figures}, "startup": {...}}}

A key that ends in `_sec` or `_mib` holds seconds or MiB, or an object of such figures.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.common.resources import hardware
from tasks.common.storage.atomic import atomic_write
from tests.performance.bench.errors import BenchmarkFailed

Document = dict[str, Any]


def read(file: Path | None) -> Document:
    """The document in a file; one without parts where there is no file. Raises BenchmarkFailed for a file that is none of ours."""
    if file is None or not file.exists():
        return {"parts": {}}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkFailed(
            f"{file} cannot be read as figures of `python -m tests.performance.bench`: {error}", "Name another file"
        ) from error
    parts = document.get("parts") if isinstance(document, dict) else None
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise BenchmarkFailed(f"{file} holds no figures of `python -m tests.performance.bench`", "Name another file")
    return {"parts": parts}


def stamped(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a part, with the day and the machine."""
    return {"date": datetime.date.today().isoformat(), "hardware": hardware(), **figures}


def merged(earlier: Document, measured: Mapping[str, Any]) -> Document:
    """The earlier document with the parts that were measured in the place of its own; it keeps the others."""
    return {"parts": {**earlier["parts"], **measured}}


def write(file: Path, document: Document) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
