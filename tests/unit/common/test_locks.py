"""Locks: one holder at a time, in whatever process; a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.common.locks import hold, is_held, is_left, try_to_hold

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "a.lock"


def test_only_one_holds_a_lock(path: Path) -> None:
    with hold(path) as held:
        assert held.path == path
        assert try_to_hold(path) is None
        assert is_held(path)
        assert not is_left(path)
        with pytest.raises(TimeoutError):
            hold(path, timeout_sec=0.1)
    assert not is_held(path)
    again = try_to_hold(path)
    assert again is not None
    again.release()


def test_who_waits_gets_it_and_another_thread_may_let_go(path: Path) -> None:
    first = hold(path)
    got = threading.Event()

    def wait() -> None:
        with hold(path):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not got.wait(0.2)
    threading.Thread(target=first.release).start()
    assert got.wait(10)
    waiting.join()


def test_what_was_never_made_is_neither_held_nor_left_nor_made(path: Path) -> None:
    assert not is_held(path)
    assert not is_left(path)
    assert not path.parent.exists()


_HOLDS = """
import sys, time
from pathlib import Path
from tasks.common.locks import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_leaves_its_file(path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    with holder:
        holder.stdout.readline()
        assert (is_held(path), is_left(path)) == (True, False)
        holder.kill()
    assert (is_held(path), is_left(path)) == (False, True)


def test_a_lock_whose_file_its_holder_removed_is_made_anew(path: Path) -> None:
    held = hold(path)
    path.unlink()
    held.release()
    with hold(path):
        assert is_held(path)


def test_what_cannot_be_a_lock_is_not_left(tmp_path: Path) -> None:
    assert not is_left(tmp_path)
    with pytest.raises(OSError, match="directory"):
        is_held(tmp_path)
