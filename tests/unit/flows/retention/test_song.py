"""Deleting one song: what is its own goes, what is somebody else's stays."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from odd_songs import song_of

from flows.retention.song import delete_audio, delete_song_folder
from schemas.song_folder import EXPORTS_NAME, MAP_NAME
from tasks.common.errors import StorageError
from tasks.common.storage.artifacts import ArtifactStore
from tasks.export.files import write_exports
from tasks.export.formats import FORMATS
from tasks.export.options import ExportOptions
from tasks.export.song import Song


def written(folder: Path) -> Path:
    for name in ("song_map.json", "timeline.svg", "stems/vocals.wav", "invalid/report.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    return folder


def test_a_songs_folder_goes(tmp_path: Path) -> None:
    folder = written(tmp_path / "songs" / "a")
    delete_song_folder(folder)
    assert not folder.exists()
    delete_song_folder(folder)  # somebody was faster


def test_what_is_not_the_songs_stays(tmp_path: Path) -> None:
    folder = written(tmp_path / "album")
    other = written(folder / "another song")
    (folder / "my notes.txt").write_text("mine", encoding="utf-8")
    delete_song_folder(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["another song", "my notes.txt"]
    assert (other / "song_map.json").exists()


def test_exports_go_with_the_song_unless_somebody_changed_them(tmp_path: Path) -> None:
    song = Song(song_of("plain"))
    folder, other = tmp_path / "a", tmp_path / "a" / "below"
    for place in (folder, other):
        place.mkdir()
        (place / MAP_NAME).write_text(song.map.to_json(), encoding="utf-8")
        list(write_exports(song, [FORMATS["lrc"], FORMATS["chordpro"], FORMATS["audacity"]], ExportOptions(), place, "Song"))
    (folder / "Song.cho").write_text("mine", encoding="utf-8")
    (folder / "Song.audacity" / "words.txt").write_text("mine", encoding="utf-8")
    delete_song_folder(folder)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(other)}
    assert left == {"Song.cho", ".exports.json", "Song.audacity/words.txt", "Song.audacity/.exports.json"}
    assert (other / "Song.lrc").exists()
    delete_song_folder(other)
    assert not other.exists()


def test_a_list_of_exports_leads_to_nothing_outside(tmp_path: Path) -> None:
    song = Song(song_of("plain"))
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / MAP_NAME).write_text(song.map.to_json(), encoding="utf-8")
    list(write_exports(song, [FORMATS["lrc"]], ExportOptions(), tmp_path, "Song"))
    record = json.loads((tmp_path / EXPORTS_NAME).read_text(encoding="utf-8"))["Song.lrc"]
    (folder / EXPORTS_NAME).write_text(json.dumps({"../Song.lrc": record}), encoding="utf-8")
    delete_song_folder(folder)
    assert (tmp_path / "Song.lrc").exists()


def test_a_link_in_place_of_the_stems_leads_to_nothing_that_goes(tmp_path: Path) -> None:
    elsewhere = written(tmp_path / "elsewhere")
    folder = tmp_path / "songs" / "a"
    folder.mkdir(parents=True)
    (folder / "song_map.json").write_text("{}", encoding="utf-8")
    (folder / "stems").symlink_to(elsewhere / "stems")
    delete_song_folder(folder)
    assert (elsewhere / "stems" / "vocals.wav").exists()
    assert not (folder / "song_map.json").exists()


def test_the_map_stays_where_the_rest_cannot_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "a")

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("flows.retention.song.shutil.rmtree", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        delete_song_folder(folder)
    assert (folder / "song_map.json").exists()


def test_audio_goes_with_what_was_made_of_it_unless_it_is_in_use(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), tmp_path / "scratch")
    audio = tmp_path / "store" / "audio" / "ab" / f"{'ab' * 32}.wav"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"sound")
    with store.temporary_dir() as folder:
        (folder / "a.mp3").write_bytes(b"small sound")
        made = store.add_derived(folder / "a.mp3", f"{'ab' * 32}.mp3")
    assert delete_audio(store, ["ab" * 32], time.time() - 60) == 0
    assert delete_audio(store, ["ab" * 32, "cd" * 32], time.time() + 1) == 2
    assert not audio.exists()
    assert not made.exists()
