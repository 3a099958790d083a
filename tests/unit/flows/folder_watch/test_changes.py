"""When a watched folder is looked into again: something changed, or is due."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.folder_watch.changes import TOLD_SEC, UNTOLD_SEC, Changes, file_system, is_silent
from flows.folder_watch.ledger import FileRecord, SongRecord, SongState, opened
from flows.folder_watch.moments import next_moment
from flows.folder_watch.rules import WatchRules

RULES = WatchRules(settle_sec=5, pause_sec=60, at_once=1)
MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /music rw - nfs4 server:/music rw
31 30 8:2 / /music/local\040disk rw - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/host rw - fuse.sshfs me@host: rw
33 22 0:42 / /mnt/again rw - nfs4 server:/x rw
34 22 8:3 / /mnt/again rw - btrfs /dev/sdc1 rw
"""


def test_a_change_below_the_folder_is_told_and_one_in_the_watchers_own_folders_is_not(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "failed").mkdir()
    with Changes(tmp_path, leave_out=[tmp_path / "failed"]) as changes:
        (tmp_path / "failed" / "a.mp3").write_bytes(b"1")
        assert not changes.wait(0.6)
        (tmp_path / "album" / "b.mp3").write_bytes(b"2")
        assert changes.wait(30)
        changes.forget()
        (tmp_path / "new folder").mkdir()
        assert changes.wait(30)
        changes.forget()
        (tmp_path / "new folder" / "c.mp3").write_bytes(b"3")
        assert changes.wait(30)
    assert changes.every_sec == TOLD_SEC


def test_where_nothing_is_told_any_more_the_folder_is_looked_into_every_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.folder_watch import changes as module

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(module, "watch", refuse)
    with Changes(tmp_path) as changes:
        assert changes.wait(30)  # what was missed is looked for at once
        assert changes.every_sec == UNTOLD_SEC
    assert "file watch limit" in caplog.text


@pytest.mark.parametrize(
    ("folder", "kind", "silent"),
    [
        ("/var/inbox", "ext4", False),
        ("/music/inbox", "nfs4", True),
        ("/music/local disk/inbox", "xfs", False),
        ("/mnt/host/inbox", "fuse.sshfs", True),
        ("/mnt/again", "btrfs", False),
    ],
)
def test_network_file_systems_are_known_by_the_mount_that_is_seen(tmp_path: Path, folder: str, kind: str, silent: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert file_system(Path(folder), mounts) == kind
    assert is_silent(Path(folder), mounts) is silent


def test_where_the_system_does_not_say_what_is_mounted_changes_are_taken_to_be_told(tmp_path: Path) -> None:
    assert not is_silent(tmp_path, tmp_path / "none")


def test_a_look_is_due_when_a_file_has_settled_may_be_read_again_or_a_try_is_due(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger.sqlite") as ledger:
        assert ledger is not None
        assert next_moment(ledger, RULES) == float("inf")
        ledger.put_files([FileRecord("/in/known.mp3", 1, 1, 1, since=10, sha256="a")])
        assert next_moment(ledger, RULES) == float("inf")
        ledger.put_files([FileRecord("/in/locked.mp3", 1, 1, 2, since=100, problem="Permission denied", problems=1)])
        assert next_moment(ledger, RULES) == 160
        song = SongRecord("a", "o", "/in/known.mp3", SongState.waiting, 0, 0, next_try=150)
        ledger.put_song(song)
        assert next_moment(ledger, RULES) == 150
        ledger.put_files([FileRecord("/in/new.mp3", 1, 1, 3, since=120), FileRecord("/in/newer.mp3", 1, 1, 4, since=121)])
        assert next_moment(ledger, RULES) == 125
        ledger.forget_files(["/in/new.mp3", "/in/newer.mp3", "/in/locked.mp3"])
        ledger.put_song(SongRecord("b", "o", "/in/b.mp3", SongState.running, 0, 0, run_id="r"))
        assert next_moment(ledger, RULES) == float("inf")  # there is no room: the end of the run is waited for
