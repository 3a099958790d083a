"""Which files of a folder are songs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.song_files import SongFolder, find_songs
from tasks.common.errors import FolderIsFile, FolderNotFound, FolderUnreadable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the songs are."""
    root = tmp_path / "songs"
    root.mkdir()
    return root


@pytest.fixture
def make(folder: Path) -> Callable[..., None]:
    """make("a.mp3", "live/b.wav"): files of a few bytes."""

    def files(*names: str) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"sound")

    return files


def names(found: SongFolder, folder: Path) -> list[str]:
    return [song.path.relative_to(folder).as_posix() for song in found.songs]


def test_every_kind_of_audio_is_a_song_in_the_order_of_the_paths(folder: Path, make: Callable[..., None]) -> None:
    wanted = ["a.wav", "b.FLAC", "c.mp3", "d.ogg", "e.Opus", "f.m4a", "g.aiff", "h.mp4", "i.webm", "j.mkv", "k/a.wav", "l.aif", "m.oga"]
    make(*reversed(wanted), "cover.jpg", "notes.txt", "wav", "list.m3u")
    assert names(find_songs(folder), folder) == wanted


def test_hidden_and_partial_files_and_what_is_in_hidden_folders_are_no_songs(folder: Path, make: Callable[..., None]) -> None:
    make(".a.mp3", "._b.mp3", ".trash/c.mp3", "d.mp3.part", "e.mp3.crdownload", "f.tmp", "g.mp3~", "~$h.mp3", "i.mp3")
    assert names(find_songs(folder, patterns=["*"]), folder) == ["i.mp3"]


def test_names_of_any_script_and_with_shell_characters_are_found(folder: Path, make: Callable[..., None]) -> None:
    odd = ["$(rm -rf).mp3", "a'b\"c.mp3", "line\nbreak.mp3", "Ünïcødé.mp3", "夜に駆ける.mp3", "🎸;&|.mp3"]
    make(*odd)
    assert sorted(names(find_songs(folder), folder)) == sorted(odd)


def test_size_time_and_inode_are_those_of_the_file_that_a_link_leads_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.mp3").write_bytes(b"123456")
    os.utime(tmp_path / "elsewhere.mp3", ns=(5, 7))
    (folder / "link.mp3").symlink_to(tmp_path / "elsewhere.mp3")
    (song,) = find_songs(folder).songs
    status = (tmp_path / "elsewhere.mp3").stat()
    assert (song.path, song.size, song.mtime_ns) == (folder / "link.mp3", 6, 7)
    assert (song.device, song.inode) == (status.st_dev, status.st_ino)


def test_a_loop_of_links_ends_and_a_folder_is_known_by_its_own_path(folder: Path, make: Callable[..., None]) -> None:
    make("z/song.mp3")
    (folder / "a").symlink_to(folder / "z")
    (folder / "z" / "up").symlink_to(folder)
    (folder / "b").symlink_to(folder / "b")
    assert names(find_songs(folder), folder) == ["z/song.mp3"]


def test_a_linked_folder_outside_is_entered_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.mp3").write_bytes(b"x")
    (folder / "one").symlink_to(tmp_path / "other")
    (folder / "two").symlink_to(tmp_path / "other")
    assert names(find_songs(folder), folder) == ["one/x.mp3"]


def test_without_recursion_only_the_folder_itself_counts(folder: Path, make: Callable[..., None]) -> None:
    make("a.mp3", "below/b.mp3")
    assert names(find_songs(folder, recursive=False), folder) == ["a.mp3"]


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["*.FLAC"], ["live/Abba.flac"]),
        (["abba*"], ["Abba 1.mp3", "live/Abba.flac"]),
        (["live/*"], ["live/Abba.flac", "live/x.ogg"]),
        (["*.mka", "x.*"], ["live/x.ogg", "song.mka"]),
        (["nothing*"], []),
    ],
)
def test_patterns_choose_by_name_or_path_and_take_audio_unless_they_name_an_ending(
    patterns: list[str], wanted: list[str], folder: Path, make: Callable[..., None]
) -> None:
    make("Abba 1.mp3", "Abba.jpg", "live/Abba.flac", "live/x.ogg", "song.mka")
    assert names(find_songs(folder, patterns=patterns), folder) == wanted


def test_results_are_not_taken_for_songs(folder: Path, make: Callable[..., None]) -> None:
    make("a.mp3", "a/song_map.json", "a/stems/vocals.wav", "out/b.wav", "stems/real.wav")
    assert names(find_songs(folder, leave_out=[folder / "out"]), folder) == ["a.mp3", "stems/real.wav"]


def test_what_cannot_be_looked_at_is_returned_with_the_reason(folder: Path, make: Callable[..., None]) -> None:
    make("good.mp3")
    (folder / "gone.mp3").symlink_to(folder / "nowhere.mp3")
    os.mkfifo(folder / "pipe.wav")
    found = find_songs(folder)
    assert names(found, folder) == ["good.mp3"]
    reasons = {skipped.path.name: (skipped.reason, skipped.code) for skipped in found.skipped}
    assert reasons == {
        "gone.mp3": ("No such file or directory", "AUDIO_UNREADABLE"),
        "pipe.wav": ("not a regular file", "AUDIO_PATH_REFUSED"),
    }


def test_a_name_may_be_any_bytes(folder: Path, make: Callable[..., None]) -> None:
    make("good.mp3")
    (folder / os.fsdecode(b"latin\xe9.mp3")).write_bytes(b"x")
    assert names(find_songs(folder), folder) == ["good.mp3", os.fsdecode(b"latin\xe9.mp3")]


def test_a_folder_below_that_may_not_be_read_is_returned_and_the_rest_found(
    folder: Path, make: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make("good.mp3", "locked/song.mp3")
    real = os.scandir

    def scandir(path: Path) -> object:  # the tests may run as root, who may read everything
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("flows.song_files.os.scandir", scandir)
    found = find_songs(folder)
    assert names(found, folder) == ["good.mp3"]
    assert [(skipped.path, skipped.reason) for skipped in found.skipped] == [(folder / "locked", "Permission denied")]
    monkeypatch.setattr("flows.song_files.os.scandir", lambda path: scandir(Path("locked")))
    with pytest.raises(FolderUnreadable, match="Permission denied"):
        find_songs(folder)


def test_a_missing_folder_and_a_file_are_refused_by_name(folder: Path, make: Callable[..., None]) -> None:
    make("a.mp3")
    with pytest.raises(FolderNotFound):
        find_songs(folder / "none")
    with pytest.raises(FolderIsFile):
        find_songs(folder / "a.mp3")
    with pytest.raises(FolderUnreadable):
        find_songs(Path("null\0byte"))
