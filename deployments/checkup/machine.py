"""A check-up of this machine: what Performia needs here, whether it is there, and what to do where it is not.

Each check looks at one thing, changes nothing, and never raises for what it looks for. Secrets are not read, so none is printed.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from performia import overwritten_packages
from schemas.options import AnalysisOptions, Quality
from schemas.plan import StepPlan
from schemas.steps import Step
from tasks.common import models
from tasks.common.memory import available_bytes
from tasks.common.placement import best_device, may_have_cuda
from tasks.common.planning import make_plan
from tasks.common.resources import available_cores, cpu_has_bfloat16, threads
from tasks.common.settings import Settings
from tasks.common.shown_url import shown_url

Level = Literal["ok", "warning", "problem"]

#: A three-minute song takes 0.38 GB in the artifact store and 0.32 in its own folder.
_SONG_GB: Final = 0.7
_LITTLE_SPACE_GB: Final = 10.0
#: Separation of a three-minute song, with everything else that runs beside it; see tests/performance/README.md.
_LITTLE_MEMORY_GIB: Final = 3.0
_OLDEST_PYTHON: Final = (3, 11)
#: Without it there is no Song Map.
_REQUIRED: Final = (Step.beats_key,)


@dataclass(frozen=True)
class Finding:
    """What a check found. todo: what a person should do; empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    todo: str = ""


def check_python() -> Finding:
    """The Python that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return Finding("python", "problem", version, f"Install Performia with Python {'.'.join(map(str, _OLDEST_PYTHON))} or later")
    return Finding("python", "ok", version)


def check_packages(distribution: str = "performia") -> Finding:
    """Whether the packages that Performia asks for are installed, in versions that it works with."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(text) for text in importlib.metadata.requires(distribution) or ()]
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Finding("packages", "warning", "Performia runs from a folder, not installed", "Run `make setup`, or `pip install -e .`")
    wrong = [reason for need in required if need.marker is None or need.marker.evaluate({"extra": ""}) if (reason := _lacks(need))]
    if wrong:
        return Finding("packages", "problem", "; ".join(wrong), "Run `pip install -c constraints.txt -e .` where Performia lies")
    if mixed := overwritten_packages():
        found = "; ".join(f"`{name}` is {how}" for name, how in mixed.items())
        return Finding("packages", "problem", found, "Install Performia into a virtual environment of its own")
    return Finding("packages", "ok", f"performia {version}, prefect {importlib.metadata.version('prefect')}, {len(required)} requirements")


def _lacks(need: object) -> str:
    from packaging.requirements import Requirement

    assert isinstance(need, Requirement)
    try:
        version = importlib.metadata.version(need.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{need.name} is not installed"
    return "" if need.specifier.contains(version, prereleases=True) else f"{need.name} is {version}, not {need.specifier}"


def check_device(settings: Settings) -> Finding:
    """What the networks run on. Imports torch only where there may be something else than a CPU."""
    cores = f"{available_cores()} cores, {threads()} threads a step"
    if not (may_have_cuda() or settings.device or sys.platform == "darwin"):
        precision = "bfloat16" if cpu_has_bfloat16() else "float32"
        return Finding("device", "ok", f"cpu ({cores}, {precision})")
    import torch

    device = best_device()
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            return Finding(
                "device", "problem", f"PERFORMIA_DEVICE is {device}, and torch finds no GPU", "Unset it, or install CUDA's torch"
            )
        try:
            free, total = torch.cuda.mem_get_info(device)
            name = torch.cuda.get_device_name(device)
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            return Finding("device", "problem", f"{device} cannot be used: {reason}", "Check PERFORMIA_DEVICE and the driver")
        return Finding("device", "ok", f"{device}: {name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
    if may_have_cuda() and not settings.device:
        return Finding("device", "warning", f"{device} ({cores}); a GPU is there, and torch cannot use it", "Install torch for CUDA")
    return Finding("device", "ok", f"{device} ({cores})")


def check_memory() -> Finding:
    """Whether the memory that is free suffices for a song."""
    free = available_bytes() / 2**30
    if free < _LITTLE_MEMORY_GIB:
        todo = f"Close other programs, or use --quality fast: a song takes up to {_LITTLE_MEMORY_GIB:.0f} GiB"
        return Finding("memory", "warning", f"{free:.1f} GiB free", todo)
    return Finding("memory", "ok", f"{free:.1f} GiB free")


def check_models(settings: Settings) -> list[Finding]:
    """The engine of each step, and whether its models are here."""
    plan = make_plan(AnalysisOptions(quality=Quality.balanced))
    return [_check_step(step, getattr(plan, step.value), settings) for step in Step]


def _check_step(step: Step, plan: StepPlan, settings: Settings) -> Finding:
    name = f"engine of {step.value}"
    reasons = "; ".join(plan.degraded_because)
    if plan.expected is None:
        return Finding(name, "problem" if step in _REQUIRED else "warning", f"none: {reasons}", "Run `performia models fetch`")
    models_used = tuple(model.name for model in plan.expected.models)
    engine = plan.expected.engine + (f" ({', '.join(models_used)})" if models_used else "")
    if plan.degraded_because:
        todo = "Run `performia models fetch`" + (" with PERFORMIA_OFFLINE unset" if settings.offline else "")
        return Finding(name, "warning", f"{engine}; a better one is missing: {reasons}", todo)
    absent = [model for model in models_used if models.find_unchecked(model) is None]
    if absent:
        return Finding(name, "warning", f"{engine}; downloaded when first needed", "Run `performia models fetch` to have it before")
    return Finding(name, "ok", engine)


def check_folder(name: str, path: Path) -> Finding:
    """Whether a folder can be written to, or made; and whether its disk has room."""
    existing = next((place for place in (path, *path.absolute().parents) if os.path.lexists(place)), Path("/"))
    if not existing.is_dir():
        return Finding(name, "problem", f"{existing} is not a folder", "Move it away, or set another folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free / 1e9
    except OSError as error:
        return Finding(name, "problem", f"{existing} cannot be written to: {error.strerror}", "Check its owner and permissions")
    found = f"{path}{'' if existing == path else ' (made when needed)'}, {free:.0f} GB free"
    if free < _SONG_GB:
        return Finding(name, "problem", found, "Free some space: `performia prune --older-than 0`, or another disk")
    if free < _LITTLE_SPACE_GB:
        return Finding(name, "warning", f"{found}: room for some {free / _SONG_GB:.0f} songs", "Free some space: `performia prune`")
    return Finding(name, "ok", found)


def check_inbox(settings: Settings) -> Finding:
    """The watched folder: `performia serve` makes it; without it nothing is dropped anywhere."""
    finding = check_folder("inbox", settings.inbox)
    if finding.level == "ok" and settings.inbox_dir is not None and not settings.inbox.is_dir():
        return Finding("inbox", "warning", f"{settings.inbox} is not there", "Make it, or mount it: PERFORMIA_INBOX_DIR names it")
    return finding


def check_artifact_store(settings: Settings) -> Finding:
    """Whether decoded songs and stems can be kept where the settings say."""
    url = settings.artifacts_url
    local = url.removeprefix("file://")
    if "://" not in local:
        return check_folder("artifact store", Path(local))
    from flows.retention.places import RemoteFolder

    try:
        place = RemoteFolder(url)
        place.fs.ls(place.base, detail=False)
    except FileNotFoundError:
        pass  # nothing has been stored yet
    except ImportError as error:
        return Finding("artifact store", "problem", f"{shown_url(url)}: {error}", "Install what it names, such as `pip install s3fs`")
    except Exception as error:  # noqa: BLE001 (a store's client raises what it likes)
        reason = f"{shown_url(url)} does not answer: {type(error).__name__}"
        return Finding("artifact store", "problem", reason, "Check the address, the network and the credentials")
    return Finding("artifact store", "ok", shown_url(url))


def check_cache(settings: Settings) -> Finding:
    """How much the cache holds on this machine, and whether any of it is old."""
    from flows.retention.places import Folder

    folders = [settings.results_dir, settings.scratch_dir]
    local = settings.artifacts_url.removeprefix("file://")
    if "://" not in local:
        folders.append(Path(local))
    count = size = 0
    for file in (file for folder in folders for file in Folder(folder).files()):
        count, size = count + 1, size + file.size
    return Finding("cache", "ok", f"{size / 1e9:.2f} GB in {count} files; unused ones go after {settings.retention_days:g} days (prune)")


def machine_checks(settings: Settings) -> Iterator[tuple[str, object]]:
    """(name, check) of every check of this machine; a check gives a Finding or a list of them."""
    yield "python", check_python
    yield "packages", check_packages
    yield "device", lambda: check_device(settings)
    yield "memory", check_memory
    yield "data directory", lambda: check_folder("data directory", settings.data_dir)
    yield "songs", lambda: check_folder("songs", settings.songs_dir)
    yield "inbox", lambda: check_inbox(settings)
    yield "artifact store", lambda: check_artifact_store(settings)
    yield "cache", lambda: check_cache(settings)
    yield "models", lambda: check_models(settings)
