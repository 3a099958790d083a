"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tasks.common.storage import atomic
from tasks.common.storage.atomic import atomic_write, copy_atomic, move_atomic, put_folder, unfinished_name


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "map.json"
    atomic_write(path, b"old")
    monkeypatch.setattr(atomic.os, "replace", lambda *args: (_ for _ in ()).throw(OSError("broken")))
    with pytest.raises(OSError, match="broken"):
        atomic_write(path, b"new")
    with pytest.raises(OSError, match="broken"):
        copy_atomic(path, tmp_path / "copy.json")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["map.json"]


@pytest.mark.parametrize("kernel", ["whole", "in parts", "refuses", "stops", "has none"])
def test_a_copy_is_whole_whatever_the_kernel_does(kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 40
    source = tmp_path / "source.wav"
    source.write_bytes(content)

    def in_parts(wanted: int, copy: int, count: int) -> int:
        return os.write(copy, os.read(wanted, min(count, 1000)))

    def refuses(wanted: int, copy: int, count: int) -> int:
        os.write(copy, b"half")
        raise OSError("other devices")

    if kernel == "has none":
        monkeypatch.delattr(atomic.os, "copy_file_range", raising=False)
    elif kernel != "whole":
        stand_in = {"in parts": in_parts, "refuses": refuses, "stops": lambda *_: 0}[kernel]
        monkeypatch.setattr(atomic.os, "copy_file_range", stand_in, raising=False)
    copy_atomic(source, tmp_path / "copy.wav")
    assert (tmp_path / "copy.wav").read_bytes() == content


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every move is one to another disk."""
    monkeypatch.setattr(atomic.os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "Another disk")))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "inbox" / "song.mp3"
    atomic_write(path, b"music")
    os.utime(path, (1000, 1000))
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_move_makes_the_folder(song: Path, tmp_path: Path) -> None:
    move_atomic(song, tmp_path / "done" / "song.mp3")
    assert files(tmp_path) == ["done/song.mp3"]


@pytest.mark.usefixtures("other_disk")
def test_a_move_to_another_disk_keeps_content_and_date(song: Path, tmp_path: Path) -> None:
    target = tmp_path / "done" / "song.mp3"
    move_atomic(song, target)
    assert files(tmp_path) == ["done/song.mp3"]
    assert (target.read_bytes(), target.stat().st_mtime) == (b"music", 1000)


@pytest.mark.usefixtures("other_disk")
def test_a_file_that_cannot_be_taken_away_is_not_there_twice(song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == song:
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        move_atomic(song, tmp_path / "done" / "song.mp3")
    assert files(tmp_path) == ["inbox/song.mp3"]


def test_a_move_that_is_refused_is_not_a_copy(song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic.os, "rename", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        move_atomic(song, tmp_path / "done" / "song.mp3")
    assert files(tmp_path) == ["inbox/song.mp3"]


@pytest.mark.parametrize(("there", "put"), [(None, True), ((), True), (("other",), False)])
def test_a_folder_is_put_where_nothing_or_an_empty_one_is(there: tuple[str, ...] | None, put: bool, tmp_path: Path) -> None:
    prepared, target = tmp_path / "prepared", tmp_path / "folder"
    atomic_write(prepared / "file", b"")
    if there is not None:
        target.mkdir()
        for name in there:
            (target / name).touch()
    assert put_folder(prepared, target) is put
    assert files(target) == (["file"] if put else ["other"])


def test_the_hidden_name_of_a_long_name_is_one_that_file_systems_take(tmp_path: Path) -> None:
    atomic_write(tmp_path / f"{'é' * 100}.json", b"content")
    assert len(os.fsencode(unfinished_name(tmp_path / ("é" * 120)).name)) <= 143
