"""A song's folder is corrected at once, and nothing that was said is lost."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.common.errors import CorrectionsInvalid, SongMapInvalid, SongMapNotFound, StorageError
from tasks.common.settings import Settings, get_settings
from tasks.corrections import said
from tasks.corrections.kept import alone_with, read_log
from tasks.corrections.log import with_changes
from tasks.packager.correct import CorrectedSong, correct_song, folder_at, read_corrected
from tasks.packager.validation import validate_file

GOLDEN = Path(__file__).parent / "golden" / "song_map.json"


@pytest.fixture
def settings() -> Settings:
    return get_settings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the packager leaves it, without stems."""
    made = tmp_path / "song"
    made.mkdir()
    (made / "song_map.json").write_bytes(GOLDEN.read_bytes())
    return made


def titled(settings: Settings, folder: Path, title: str) -> CorrectedSong:
    return correct_song(settings, folder, lambda song: with_changes(song.log, song.map, [said.title(song.map, title)], "Ann"))


def test_the_map_the_machines_own_and_the_log_lie_side_by_side(settings: Settings, folder: Path) -> None:
    machine = SongMap.from_json(GOLDEN.read_bytes())
    done = titled(settings, folder, "Road")
    assert {path.name for path in folder.iterdir()} == {"song_map.json", "machine_map.json", "corrections.json", "timeline.svg"}
    assert validate_file(folder / "song_map.json") == validate_file(folder / "machine_map.json") == []
    assert SongMap.from_json((folder / "machine_map.json").read_bytes()) == machine
    assert read_corrected(settings, folder) == done
    assert (done.map.title, done.machine.title) == ("Road", machine.title)
    assert read_log(settings, machine.id) == done.log  # the store has it too


def test_what_is_said_later_is_said_of_the_machines_map_and_taken_back_from_it(settings: Settings, folder: Path) -> None:
    titled(settings, folder, "Road")
    second = titled(settings, folder, "River")
    assert [outcome.outcome for outcome in second.outcomes] == ["applied", "applied"]

    def undone(song: CorrectedSong) -> c.Corrections:
        changes: list[said.Said] = [(c.Undo(operation=operation.id), None) for operation in song.log.operations]
        return with_changes(song.log, song.map, changes, "Ann")

    back = correct_song(settings, folder, undone)
    assert back.map == back.machine
    assert len(back.log.operations) == 4
    assert titled(settings, folder, "Again").map.title == "Again"


def test_what_fails_leaves_all_as_it_was(settings: Settings, folder: Path) -> None:
    def failing(song: CorrectedSong) -> c.Corrections:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        correct_song(settings, folder, failing)
    assert [path.name for path in folder.iterdir()] == ["song_map.json"]


def test_what_several_say_at_once_is_kept_of_all(settings: Settings, folder: Path) -> None:
    everybody = [threading.Thread(target=titled, args=(settings, folder, f"Title {number}")) for number in range(6)]
    for person in everybody:
        person.start()
    for person in everybody:
        person.join()
    titles = {
        operation.change.title for operation in read_corrected(settings, folder).log.operations if isinstance(operation.change, c.TitleSet)
    }
    assert titles == {f"Title {number}" for number in range(6)}


def test_a_log_that_was_copied_beside_the_song_is_joined_with_the_stores(settings: Settings, folder: Path, tmp_path: Path) -> None:
    titled(settings, folder, "Road")
    (folder / "corrections.json").unlink()
    assert len(read_corrected(settings, folder).log.operations) == 1
    (folder / "corrections.json").write_text('{"song": 3}')
    with pytest.raises(CorrectionsInvalid):
        titled(settings, folder, "River")


def test_a_corrected_map_without_the_machines_own_asks_for_an_analysis(settings: Settings, folder: Path) -> None:
    titled(settings, folder, "Road")
    (folder / "machine_map.json").unlink()
    with pytest.raises(CorrectionsInvalid, match="Analyse the song again"):
        titled(settings, folder, "River")


def test_a_machine_map_of_another_analysis_does_not_count(settings: Settings, folder: Path) -> None:
    titled(settings, folder, "Road")
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    document["provenance"]["created"] = "2026-02-03T04:05:06Z"
    document["title"] = "Anew"
    (folder / "song_map.json").write_text(json.dumps(document))
    assert read_corrected(settings, folder).machine.title == "Anew"


def test_a_song_is_found_by_its_folder_or_its_map(folder: Path, tmp_path: Path) -> None:
    assert folder_at(folder) == folder_at(folder / "song_map.json") == folder
    for path in (tmp_path, tmp_path / "none", folder / "other.json"):
        with pytest.raises(SongMapNotFound):
            folder_at(path)


def test_what_is_no_map_is_said(settings: Settings, folder: Path) -> None:
    (folder / "song_map.json").write_text("{}")
    with pytest.raises(SongMapInvalid):
        read_corrected(settings, folder)


@pytest.mark.parametrize("lock", [False, True])
def test_a_place_where_nothing_can_be_locked_is_said(settings: Settings, lock: bool) -> None:
    with alone_with(settings, "0123456789abcdef"):
        (file,) = settings.locks_dir.glob("corrections-*.lock")
    file.unlink(missing_ok=True)
    if lock:
        file.mkdir()
    else:
        shutil.rmtree(settings.locks_dir)
        settings.locks_dir.write_text("")
    with pytest.raises(StorageError, match="folder of the locks"), alone_with(settings, "0123456789abcdef"):
        pass


def test_what_fails_while_a_song_is_locked_is_what_it_was(settings: Settings) -> None:
    with pytest.raises(OSError, match="mine"), alone_with(settings, "0123456789abcdef"):
        raise OSError("mine")
