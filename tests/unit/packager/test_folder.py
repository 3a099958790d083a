"""The folder of a song: a name every file system takes, and never another song's."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.errors import StorageError
from tasks.packager.folder import claim_folder, release_claim, safe_name

ONE, TWO = "1" * 16, "2" * 16


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("My Song", "My Song"),
        ("Ünsere Straße", "Ünsere Straße"),
        ("e\u0301tude", "étude"),
        ("歌", "歌"),
        ("👩‍🎤", "👩‍🎤"),
        ("a/b\\c:d*e?f", "a b c d e f"),
        ("tab\tand\nline", "tab and line"),
        ("\u202eevil", "evil"),
        ("caf\udce9", "caf"),
        ("..", "song"),
        ("", "song"),
        ("...hidden. ", "hidden"),
        ("-rf", "rf"),
        ("CON", "CON_"),
        ("nul.tar", "nul.tar_"),
        ("COM¹", "COM¹_"),
        ("console", "console"),
    ],
)
def test_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=300))
def test_any_name_becomes_a_folder_name_that_stays_as_it_is(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode("utf-8")) <= 121
    assert safe == safe.strip()
    assert not safe.startswith((".", "-"))
    assert not set(safe) & set('/\\<>:"|?*\0\n')
    assert safe_name(safe) == safe


def test_long_names_are_cut_between_characters() -> None:
    assert safe_name("é" * 300) == "é" * 60
    assert safe_name("a" + "🎵" * 300) == "a" + "🎵" * 29


def write_map(folder: Path, song_id: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "song_map.json").write_text(json.dumps({"id": song_id}), encoding="utf-8")


def test_a_song_gets_the_folder_of_its_name_and_keeps_it(tmp_path: Path) -> None:
    folder = claim_folder(tmp_path / "new", "a song.mp3", ONE)
    assert folder == tmp_path / "new" / "a song"
    assert claim_folder(tmp_path / "new", "a song.flac", ONE) == folder


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert claim_folder(tmp_path, "a.mp3", ONE) == tmp_path / "a"


@pytest.mark.parametrize("content", [b'{"id": "2222222222222222"}', b"{", b"[]", b'{"id": 3}', b"\xff"])
def test_the_folder_of_another_map_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "song_map.json").write_bytes(content)
    assert claim_folder(tmp_path, "a.mp3", ONE) == tmp_path / "a-11111111"
    assert (tmp_path / "a" / "song_map.json").read_bytes() == content


def test_a_folder_or_file_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "b").write_text("a file", encoding="utf-8")
    (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    assert [claim_folder(tmp_path, f"{name}.mp3", ONE).name for name in "abc"] == ["a-11111111", "b-11111111", "c-11111111"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["notes.txt"]


def test_where_everything_is_taken_the_error_says_so(tmp_path: Path) -> None:
    for name in ("a", f"a-{ONE[:8]}", f"a-{ONE}"):
        write_map(tmp_path / name, TWO)
    with pytest.raises(StorageError, match="taken"):
        claim_folder(tmp_path, "a.mp3", ONE)


def test_a_run_that_was_killed_while_writing_is_taken_up_in_its_folder(tmp_path: Path) -> None:
    folder = claim_folder(tmp_path, "a.mp3", ONE)
    stems = folder / "stems"
    stems.mkdir()
    abandoned, recent = stems / ".vocals.wav.123.tmp", stems / ".drums.wav.123.tmp"
    for file in (abandoned, recent):
        file.write_bytes(b"half")
    os.utime(abandoned, (time.time() - 7200,) * 2)
    assert claim_folder(tmp_path, "a.mp3", ONE) == folder
    assert not abandoned.exists()
    assert recent.exists()
    assert claim_folder(tmp_path, "a.mp3", TWO) == tmp_path / "a-22222222"


def test_a_claim_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = claim_folder(tmp_path, "a.mp3", ONE)
    release_claim(folder, ONE)
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_songs_of_one_name_that_come_at_once_get_a_folder_each(tmp_path: Path) -> None:
    ids = [f"{number:016x}"[::-1] for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda song_id: claim_folder(tmp_path, "a.mp3", song_id), ids))
    assert len(set(folders)) == 8
