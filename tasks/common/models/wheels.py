"""Models inside installed packages: which of their files are here, and which files make them up where one of them comes in parts."""

from __future__ import annotations

import base64
import csv
import importlib.metadata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tasks.common.models.registry import Model, Wheel
from tasks.common.storage.artifacts import sha256_file

#: For each file of a model, the files that make it up, in their order: one, or the parts.
Pieces = dict[str, tuple[Path, ...]]


@lru_cache(maxsize=64)
def wheel_files(distribution: str, folder: str) -> dict[str, tuple[str, str]]:
    """{path from `folder` on: (path on disk, recorded SHA-256)} of a wheel's files below `folder`; empty if it is not installed.

    A wheel's data files lie outside site-packages, so many levels up as the platform has it (`../../../share/…`).
    """
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, tuple[str, str]] = {}
    # Not `installed.files`, which from Python 3.12 on leaves out what is missing.
    for name, record, *_ in csv.reader((installed.read_text("RECORD") or "").splitlines()):
        if f"/{folder}/" in f"/{name}" and record and not name.endswith((".py", ".pyc")):
            path = Path(str(installed.locate_file(name)))
            if not path.is_file():
                return {}
            found[name[f"/{name}".index(f"/{folder}/") :]] = (str(path), record.partition("=")[2])
    return found


def missing(model: Model) -> tuple[str, ...]:
    """The packages of a model that are not installed, or lack one of their files."""
    return tuple(wheel.distribution for wheel in model.wheels if not wheel_files(wheel.distribution, wheel.folder))


def folder_of(wheel: Wheel) -> Path:
    """The folder of an installed wheel's files."""
    inside, (path, _) = next(iter(wheel_files(wheel.distribution, wheel.folder).items()))
    below = inside.removeprefix(f"{wheel.folder}/").count("/")
    return Path(path).resolve().parents[below]


def recorded(wheels: Iterable[Wheel]) -> list[tuple[str, str]]:
    """(file, SHA-256 as the wheel records it) of every file of installed wheels, sorted."""
    return sorted((name, record) for wheel in wheels for name, (_, record) in wheel_files(wheel.distribution, wheel.folder).items())


def pieces_of(model: Model) -> Pieces | None:
    """What makes up each file of a model that several packages carry between them, parts of a file being `<name>.part1`, `<name>.part2`, …

    None where a package is missing. A part that a package never had shows in the size of the whole.
    """
    if missing(model):
        return None
    here = {path.name: path for wheel in model.wheels for path in folder_of(wheel).iterdir()}
    found: Pieces = {}
    for file in model.files:
        numbers = range(1, len(model.wheels) + 1)
        names = [file.name] if file.name in here else [name for n in numbers if (name := f"{file.name}.part{n}") in here]
        if not names:
            return None
        found[file.name] = tuple(here[name] for name in names)
    return found


def differing(model: Model) -> list[str]:
    """A line for each file that is not what its package recorded when it was installed."""
    problems = []
    for wheel in model.wheels:
        for path, expected in wheel_files(wheel.distribution, wheel.folder).values():
            digest = base64.urlsafe_b64encode(bytes.fromhex(sha256_file(Path(path)))).decode().rstrip("=")
            if digest != expected:
                problems.append(f"{path}: differs from what the package {wheel.distribution} recorded when it was installed")
    return problems
