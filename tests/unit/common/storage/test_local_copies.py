"""Local copies of remote audio, and what they may take."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tasks.common.settings import reset_settings
from tasks.common.storage.local_copies import LocalCopies


def copy(folder: Path, name: str, age_sec: float, size: int = 1000) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    then = time.time() - age_sec
    os.utime(path, (then, then))
    return path


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two copies of a thousand bytes."""
    monkeypatch.setenv("PERFORMIA_COPIES_GIB", str(2500 / 2**30))
    reset_settings()


@pytest.mark.usefixtures("room")
def test_the_least_recently_used_copies_go_first(tmp_path: Path) -> None:
    old, used, new = (copy(tmp_path, f"audio/{age}.wav", age) for age in (3000, 2000, 1000))
    copies = LocalCopies(tmp_path)
    assert copies.use("audio/3000.wav")
    copies.trim()
    assert (old.exists(), used.exists(), new.exists()) == (True, False, True)


@pytest.mark.usefixtures("room")
def test_what_was_used_a_moment_ago_stays_though_there_is_no_room(tmp_path: Path) -> None:
    kept = [copy(tmp_path, f"{age}.wav", age, size=2000) for age in (10, 20, 30)]
    LocalCopies(tmp_path).trim()
    assert all(path.exists() for path in kept)


def test_a_copy_that_is_not_there_is_not_used(tmp_path: Path) -> None:
    assert not LocalCopies(tmp_path).use("audio/x.wav")
