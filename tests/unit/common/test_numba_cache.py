"""numba's cache of compiled functions between processes; two threads with a cache file each stand for them."""

from __future__ import annotations

import sys
import threading
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest
from numba.core.caching import IndexDataCacheFile

from tasks.common.numba_cache import import_librosa, lock_cache

FOR_FLOAT32, FOR_FLOAT64 = "code for float32", "code for float64"


class AsNumbaMadeIt(IndexDataCacheFile):  # type: ignore[misc]
    load = unwrap(IndexDataCacheFile.load)
    save = unwrap(IndexDataCacheFile.save)


class Locked(AsNumbaMadeIt):
    pass


lock_cache(Locked)


def what_two_that_compile_at_once_keep(files: type[Any], folder: Path) -> list[Any]:
    """What is found for float32 and for float64, where each began before the other had ended, if it may."""
    first, second, reader = (files(str(folder), "pyin", "stamp") for _ in range(3))
    first_looked, second_is_listed, first_ended = threading.Event(), threading.Event(), threading.Event()
    look, write = first._load_index, second._save_data

    def look_and_wait() -> Any:
        found = look()
        first_looked.set()
        second_is_listed.wait(0.5)
        return found

    def wait_and_write(*inputs: Any) -> None:
        second_is_listed.set()
        first_ended.wait(0.5)
        write(*inputs)

    first._load_index, second._save_data = look_and_wait, wait_and_write
    later = threading.Thread(target=lambda: first_looked.wait(30) and second.save("float64", FOR_FLOAT64))
    later.start()
    first.save("float32", FOR_FLOAT32)
    first_ended.set()
    later.join(30)
    return [reader.load("float32"), reader.load("float64")]


def test_what_two_processes_compile_at_once_is_kept_apart(tmp_path: Path) -> None:
    assert what_two_that_compile_at_once_keep(Locked, tmp_path) == [FOR_FLOAT32, FOR_FLOAT64]


def test_numba_itself_hands_out_the_code_of_another_type(tmp_path: Path) -> None:
    """Where this fails, numba has mended it, and `numba_cache` can go."""
    assert what_two_that_compile_at_once_keep(AsNumbaMadeIt, tmp_path) == [FOR_FLOAT64, None]


def test_a_cache_that_cannot_be_written_is_read_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Locked(str(tmp_path), "pyin", "stamp").save("float32", FOR_FLOAT32)

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("tasks.common.numba_cache.hold", refuse)
    assert Locked(str(tmp_path), "pyin", "stamp").load("float32") == FOR_FLOAT32


def test_librosa_compiles_under_the_lock() -> None:
    assert import_librosa() is sys.modules["librosa"]
    assert IndexDataCacheFile.save is not unwrap(IndexDataCacheFile.save)
    assert IndexDataCacheFile.load is not unwrap(IndexDataCacheFile.load)
