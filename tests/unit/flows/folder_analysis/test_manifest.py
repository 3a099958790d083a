"""The manifest: what it says, what it survives, and what a later start may rely on."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.folder_analysis import manifest as module
from flows.folder_analysis.manifest import CSV_COLUMNS, Manifest
from flows.song_files import SongFile, find_songs
from schemas.batch import SongEntry
from tasks.common.errors import StorageError
from tasks.common.storage.artifacts import sha256_file
from tasks.ingest.file_names import as_text


@pytest.fixture
def song(tmp_path: Path) -> SongFile:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "song.mp3").write_bytes(b"music")
    return find_songs(tmp_path / "in").songs[0]


@pytest.fixture
def entry(song: SongFile, tmp_path: Path) -> Callable[..., SongEntry]:
    """entry(status="failed"): the entry of the song, whose results are there."""
    stems = tmp_path / "out" / "song" / "stems"
    stems.mkdir(parents=True)
    (stems / "vocals.wav").write_bytes(b"la")
    (stems.parent / "song_map.json").write_text("{}")
    facts: dict[str, Any] = {
        "file": str(song.path),
        "status": "done",
        "song_map": "song/song_map.json",
        "stems": ("stems/vocals.wav",),
        "size": song.size,
        "mtime_ns": song.mtime_ns,
        "file_sha256": sha256_file(song.path),
        "recipe": "r1",
    }
    return lambda **changes: SongEntry(**(facts | changes))


def looked_at_again(song: SongFile) -> SongFile:
    return find_songs(song.path.parent).songs[0]


def test_a_finished_song_is_known_to_the_next_start(song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    Manifest(tmp_path / "out").put(entry())
    assert Manifest(tmp_path / "out").finished(song, "r1") == entry()


@pytest.mark.parametrize("changes", [{"status": "failed"}, {"status": "partial"}, {"recipe": "r2"}, {"size": 1}, {"song_map": None}])
def test_a_song_that_failed_or_was_made_otherwise_is_not_finished(
    changes: dict[str, Any], song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path
) -> None:
    Manifest(tmp_path / "out").put(entry(**changes))
    assert Manifest(tmp_path / "out").finished(song, "r1") is None


@pytest.mark.parametrize("lost", ["song_map.json", "stems/vocals.wav"])
def test_a_song_whose_results_are_gone_is_not_finished(lost: str, song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    Manifest(tmp_path / "out").put(entry())
    (tmp_path / "out" / "song" / lost).unlink()
    assert Manifest(tmp_path / "out").finished(song, "r1") is None


def test_a_touched_file_is_told_from_a_changed_one_by_its_content(song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    Manifest(tmp_path / "out").put(entry())
    os.utime(song.path, ns=(1, 1))
    assert Manifest(tmp_path / "out").finished(looked_at_again(song), "r1") is not None
    song.path.write_bytes(b"noise")
    os.utime(song.path, ns=(2, 2))
    assert Manifest(tmp_path / "out").finished(looked_at_again(song), "r1") is None


def test_two_writers_keep_each_others_songs(entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    one, two = Manifest(tmp_path / "out"), Manifest(tmp_path / "out")
    one.put(entry(file="/a.mp3"))
    two.put(entry(file="/b.mp3"))
    one.put(entry(file="/c.mp3"))
    one.write()
    songs = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["songs"]
    assert [song["file"] for song in songs] == ["/a.mp3", "/b.mp3", "/c.mp3"]
    assert not list((tmp_path / "out").glob("*.tmp"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"songs": 3}', '{"songs": [{"file": 3}]}', "\0\xff", '{"songs": [{"nonsense": 1}]}'])
def test_a_manifest_that_cannot_be_read_counts_as_absent(
    content: str, song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "manifest.json").write_text(content, encoding="latin-1")
    manifest = Manifest(tmp_path / "out")
    assert manifest.finished(song, "r1") is None
    manifest.put(entry())
    manifest.write()
    assert Manifest(tmp_path / "out").finished(song, "r1") is not None


def test_the_table_can_be_opened_without_running_anything(entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "out")
    manifest.put(entry(title='=cmd|"/C calc"!A0', error='a, "b"\nc', key="A minor", bpm=120.0))
    with (tmp_path / "out" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert tuple(row) == CSV_COLUMNS
    assert row["title"] == '\'=cmd|"/C calc"!A0'
    assert (row["error"], row["key"], row["bpm"]) == ('a, "b"\nc', "A minor", "120.0")


def test_a_large_manifest_is_not_written_after_every_song_but_before_the_end(
    entry: Callable[..., SongEntry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]

    def slow_write(path: Path, content: bytes) -> None:
        now[0] += 5
        path.write_bytes(content)

    monkeypatch.setattr(module, "atomic_write", slow_write)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    manifest = Manifest(tmp_path / "out")
    manifest.put(entry(file="/a.mp3"))  # takes ten seconds: not again for two hundred
    manifest.put(entry(file="/b.mp3"))
    assert "/b.mp3" not in manifest.path.read_text(encoding="utf-8")
    now[0] += 200
    manifest.write_if_due()
    assert "/b.mp3" in manifest.path.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_named(entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="manifest"):
        Manifest(tmp_path / "file").write()


def test_a_song_whose_name_is_no_text_is_known_again(song: SongFile, entry: Callable[..., SongEntry], tmp_path: Path) -> None:
    song.path.rename(song.path.with_name(os.fsdecode(b"caf\xe9.mp3")))
    odd = find_songs(song.path.parent).songs[0]
    written = entry(file=as_text(odd.path))
    Manifest(tmp_path / "out").put(written)
    assert written.file.endswith(r"caf\xe9.mp3")
    assert Manifest(tmp_path / "out").finished(odd, "r1") == written
