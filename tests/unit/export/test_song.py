"""A song that is read of a folder or a file, and what stands in the way of that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from odd_songs import song_of

from schemas.song_folder import MAP_NAME
from tasks.common.errors import ExportNeedsSound, SongMapInvalid, SongMapNotFound
from tasks.export.song import Song, read_song


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / MAP_NAME).write_text(song_of("plain").to_json(), encoding="utf-8")
    return tmp_path


def test_a_folder_and_the_map_in_it_are_the_same_song(folder: Path) -> None:
    assert read_song(folder) == read_song(folder / MAP_NAME) == Song(song_of("plain"), folder)


def test_a_song_is_called_after_artist_and_title() -> None:
    assert Song(song_of("plain")).name == "The Testers - Plain Song"
    assert Song(song_of("nothing")).name == "Noise"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SongMapNotFound, match=f"holds no {MAP_NAME}"):
        read_song(tmp_path)
    with pytest.raises(SongMapNotFound, match="does not exist"):
        read_song(tmp_path / "gone")
    with pytest.raises(SongMapNotFound):
        read_song(Path("no\0name"))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_no_map_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MAP_NAME).write_bytes(content)
    with pytest.raises(SongMapInvalid, match="performia validate"):
        read_song(tmp_path)


def test_a_map_of_another_version_is_said(folder: Path) -> None:
    document = json.loads((folder / MAP_NAME).read_text(encoding="utf-8")) | {"schema_version": "9.0"}
    (folder / MAP_NAME).write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SongMapInvalid):
        read_song(folder)


def test_a_stem_is_a_file_in_the_folder_and_nowhere_else(folder: Path) -> None:
    song = read_song(folder)
    stem = song.map.stems[0]
    assert stem.path is not None
    with pytest.raises(ExportNeedsSound):
        song.stem(stem.name)
    (folder / stem.path).parent.mkdir(parents=True)
    (folder / stem.path).write_bytes(b"RIFF")
    assert song.stem(stem.name) == folder / stem.path
    outside = stem.model_copy(update={"path": f"../{folder.name}/{stem.path}"})
    with pytest.raises(ExportNeedsSound):
        Song(song.map.model_copy(update={"stems": (outside,)}), folder).stem(stem.name)
    with pytest.raises(ExportNeedsSound):
        Song(song.map).stem(stem.name)
