"""Exports in a folder: what a person changed by hand stays."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from odd_songs import song_of

from schemas.song_folder import EXPORTS_NAME
from tasks.common.errors import ExportInTheWay, StorageError
from tasks.common.settings import get_settings
from tasks.common.storage.atomic import atomic_write
from tasks.export import files
from tasks.export.files import Written, write_exports
from tasks.export.formats import format_named
from tasks.export.options import ExportOptions
from tasks.export.song import Song

pytestmark = pytest.mark.usefixtures("data_dir")

FORMATS = [format_named("lrc"), format_named("chordpro")]
PLAIN = Song(song_of("plain"))


def written(folder: Path, song: Song = PLAIN, replace: bool = False, **options: int) -> list[Written]:
    return list(write_exports(song, FORMATS, ExportOptions(**options), folder, "Song", replace))


def test_files_are_called_after_the_song_and_the_format(tmp_path: Path) -> None:
    found = written(tmp_path / "new")
    assert [one.file for one in found] == [tmp_path / "new" / "Song.lrc", tmp_path / "new" / "Song.cho"]
    assert (tmp_path / "new" / "Song.cho").read_bytes() == format_named("chordpro").content(PLAIN, ExportOptions())
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"Song.lrc", "Song.cho", EXPORTS_NAME}


def test_what_an_export_left_is_replaced(tmp_path: Path) -> None:
    written(tmp_path)
    assert [one.error for one in written(tmp_path, transpose=2)] == [None, None]
    assert "{key: D}" in (tmp_path / "Song.cho").read_text()


def test_what_was_changed_by_hand_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "Song.cho").write_text("mine")
    lrc, cho = written(tmp_path)
    assert lrc.error is None
    assert isinstance(cho.error, ExportInTheWay)
    assert (tmp_path / "Song.cho").read_text() == "mine"
    assert [one.error for one in written(tmp_path, replace=True)] == [None, None]
    assert (tmp_path / "Song.cho").read_text() != "mine"


def test_another_song_of_the_same_name_is_in_the_way(tmp_path: Path) -> None:
    written(tmp_path)
    other = Song(song_of("waltz").model_copy(update={"id": "fedcba9876543210"}))
    assert all(isinstance(one.error, ExportInTheWay) for one in written(tmp_path, other))


def test_a_file_that_was_there_before_is_in_the_way_unless_it_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "Song.lrc").write_bytes(b"theirs")
    (tmp_path / "Song.cho").write_bytes(format_named("chordpro").content(PLAIN, ExportOptions()))
    lrc, cho = written(tmp_path)
    assert isinstance(lrc.error, ExportInTheWay)
    assert cho.error is None


@pytest.mark.parametrize("content", ["", "no JSON", "[1]", json.dumps({"Song.lrc": 5}), "[" * 100_000])
def test_a_damaged_list_of_exports_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / EXPORTS_NAME).write_text(content)
    assert [one.error for one in written(tmp_path)] == [None, None]
    assert set(json.loads((tmp_path / EXPORTS_NAME).read_text())) >= {"Song.lrc", "Song.cho"}


def test_exports_that_are_written_at_once_are_all_known_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(file: Path, content: bytes) -> None:
        time.sleep(0.05)
        atomic_write(file, content)

    monkeypatch.setattr(files, "atomic_write", slow)
    names = [f"Song {number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: list(write_exports(PLAIN, FORMATS, ExportOptions(), tmp_path, name)), names))
    assert set(json.loads((tmp_path / EXPORTS_NAME).read_text())) == {f"{name}.{ending}" for name in names for ending in ("lrc", "cho")}


def test_where_no_lock_can_be_made_exports_are_written_all_the_same(tmp_path: Path, data_dir: Path) -> None:
    get_settings().locks_dir.parent.mkdir(parents=True, exist_ok=True)
    get_settings().locks_dir.write_text("no folder")
    assert [one.error for one in written(tmp_path / "out")] == [None, None]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert all(isinstance(one.error, StorageError) for one in written(tmp_path / "file"))
    (tmp_path / "Song.lrc").mkdir()
    assert isinstance(written(tmp_path)[0].error, StorageError)


def test_a_fault_of_ours_in_one_format_is_said_and_the_others_are_written(tmp_path: Path) -> None:
    def failing(song: Song, options: ExportOptions) -> bytes:
        raise IndexError("tuple index out of range")

    formats = [replace(FORMATS[0], write=failing), FORMATS[1]]
    lrc, cho = write_exports(PLAIN, formats, ExportOptions(), tmp_path, "Song")
    assert (lrc.format, lrc.file) == ("lrc", None)
    assert str(lrc.error).startswith("PERFORMIA_ERROR: lrc: IndexError: tuple index out of range. This is a fault of ours: report it")
    assert (cho.error, cho.file) == (None, tmp_path / "Song.cho")
