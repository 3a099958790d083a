"""What becomes of files in an inbox, without a server: looks, settling, starts, ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from flows.folder_watch import flow as watching
from flows.folder_watch.endings import End, RunEnd, give_up_unreadable, message_codes, move_ended, move_finished
from flows.folder_watch.ledger import Ledger, SongRecord, SongState, opened
from flows.folder_watch.rules import WatchRules
from flows.folder_watch.scan import InboxScan, scan_inbox
from flows.folder_watch.start_runs import idempotency_key, options_digest, place_in, songs_to_start
from schemas.options import AnalysisOptions, Quality
from tasks.common.errors import FolderNotFound, OptionInvalid, StorageError

RULES = WatchRules(settle_sec=5, attempts=3, pause_sec=60, crashes=2)
OPTIONS = "options"


class Clock:
    """A clock that only sleeping moves; `asleep` is called in the middle of every sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.asleep()
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.sqlite") as found:
        assert found is not None
        yield found


@pytest.fixture
def scan_once(ledger: Ledger, inbox: Path, clock: Clock) -> Callable[..., InboxScan]:
    def once(rules: WatchRules = RULES) -> InboxScan:
        return scan_inbox(ledger, inbox, OPTIONS, rules, clock=clock, sleep=clock.sleep)

    return once


def drop(inbox: Path, name: str = "a.mp3", content: bytes = b"song") -> Path:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def started(ledger: Ledger, clock: Clock, rules: WatchRules = RULES) -> list[SongRecord]:
    """Start what is due, as the flow does."""
    songs = songs_to_start(ledger, rules, clock())
    for song in songs:
        ledger.put_song(song.to(SongState.running, clock(), run_id=f"run-{song.path}-{song.tries}"))
    return ledger.songs(SongState.running) if songs else []


def test_a_file_that_did_not_change_between_two_looks_is_accepted(inbox: Path, scan_once: Callable[..., InboxScan]) -> None:
    drop(inbox)
    scanned = scan_once()
    assert [Path(song.path).name for song in scanned.accepted] == ["a.mp3"]
    assert scan_once().accepted == []


def test_a_file_that_is_still_being_copied_waits(inbox: Path, scan_once: Callable[..., InboxScan], clock: Clock) -> None:
    path = drop(inbox)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    clock.asleep = grow
    assert scan_once().unsettled == [str(path)]
    clock.now += 30
    grow()
    assert scan_once().accepted == []  # the growing goes on
    clock.asleep = lambda: None
    clock.now += 30
    assert len(scan_once().accepted) == 1


def test_a_file_is_read_once_and_not_again_while_it_stays_as_it_is(
    inbox: Path, scan_once: Callable[..., InboxScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.folder_watch import scan as module

    read: list[Path] = []
    hash_file = module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda path: (read.append(path), hash_file(path))[1])
    path = drop(inbox)
    for _ in range(3):
        scan_once()
    assert read == [path]


def test_the_same_content_is_one_song_whatever_it_is_called(inbox: Path, scan_once: Callable[..., InboxScan]) -> None:
    drop(inbox, "a.mp3")
    drop(inbox, "below/b.mp3")
    assert len(scan_once().accepted) == 1
    drop(inbox, "c.mp3")
    assert scan_once().accepted == []


def test_a_renamed_song_that_waits_is_found_by_its_new_name(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    path = drop(inbox)
    scan_once()
    path.rename(inbox / "new name.mp3")
    scan_once()
    assert [song.path for song in started(ledger, clock)] == [str(inbox / "new name.mp3")]


def test_a_song_deleted_before_its_start_is_forgotten(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    path = drop(inbox)
    scan_once()
    path.unlink()
    assert started(ledger, clock) == []
    assert sum(ledger.count().values()) == 0


def test_a_file_deleted_between_the_looks_is_no_error(inbox: Path, scan_once: Callable[..., InboxScan], clock: Clock) -> None:
    path = drop(inbox)
    clock.asleep = path.unlink
    scanned = scan_once()
    assert (scanned.accepted, scanned.unreadable) == ([], [])


def test_a_replaced_file_is_another_song(inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock) -> None:
    path = drop(inbox)
    scan_once()
    running = started(ledger, clock)[0]
    path.write_bytes(b"another song")
    end = RunEnd(End.failed, "Flow run encountered an exception: AudioChanged: AUDIO_CHANGED: it is not the file it was. Wait.")
    assert move_ended(ledger, inbox, running, end, RULES, clock()) is None
    clock.now += 60
    accepted = scan_once().accepted
    assert [song.sha256 == running.sha256 for song in accepted] == [False]
    assert path.exists()


def test_a_failure_of_a_file_that_was_replaced_meanwhile_counts_for_nothing(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    path = drop(inbox)
    scan_once()
    running = started(ledger, clock)[0]
    path.write_bytes(b"half of another so")
    move_ended(ledger, inbox, running, RunEnd(End.failed, "AUDIO_TRUNCATED: cut off"), RULES, clock())
    assert path.exists()
    assert not (inbox / "failed").exists()


def test_songs_start_in_the_order_they_came_and_not_too_many(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    rules = RULES.model_copy(update={"at_once": 2})
    for number in range(4):
        drop(inbox, f"{9 - number}.mp3", str(number).encode())
        scan_once(rules)
        clock.now += 10
    assert [Path(song.path).name for song in started(ledger, clock, rules)] == ["9.mp3", "8.mp3"]
    assert started(ledger, clock, rules) == []


def test_a_watcher_killed_before_it_made_the_run_makes_it_with_the_same_key(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox)
    scan_once()
    entered = songs_to_start(ledger, RULES, clock())
    again = songs_to_start(ledger, RULES, clock())
    assert [idempotency_key(song) for song in entered] == [idempotency_key(song) for song in again]


def test_the_key_holds_content_options_and_number_of_the_try() -> None:
    song = SongRecord("c" * 64, options_digest(AnalysisOptions()), "/in/a.mp3", SongState.starting, 0, 0, tries=1)
    others = [
        replace(song, sha256="d" * 64),
        replace(song, options=options_digest(AnalysisOptions(quality=Quality.best))),
        replace(song, tries=2),
    ]
    assert len({idempotency_key(other) for other in (song, *others)}) == 4
    assert idempotency_key(replace(song, path="/in/renamed.mp3")) == idempotency_key(song)


def test_a_failed_song_is_tried_again_with_growing_pauses_and_then_moved_beside_a_report(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    path = drop(inbox, "live/bad.mp3")
    scan_once()
    pauses = []
    for number in range(1, 4):
        running = started(ledger, clock)[0]
        assert running.tries == number
        song = move_ended(ledger, inbox, running, RunEnd(End.failed, f"STORAGE_ERROR: no answer ({number}). Check."), RULES, clock())
        assert song is not None
        if song.state is SongState.waiting:
            assert started(ledger, clock) == []
            pauses.append(song.next_try - clock())
            clock.now = song.next_try
    assert pauses == [60, 240]
    assert song.state is SongState.failed
    moved = inbox / "failed" / "live" / "bad.mp3"
    assert moved.read_bytes() == b"song"
    assert not path.exists()
    report = moved.with_name("bad.mp3.report.txt").read_text(encoding="utf-8")
    assert "STORAGE_ERROR: no answer (3)" in report
    assert report.count("STORAGE_ERROR") == 4  # and each of the three tries
    assert scan_once().accepted == []  # what is in failed/ is not looked at


@pytest.mark.parametrize("reason", ["AudioNotAudio", "REQUIRED_STEP_FAILED: ingest failed"])
def test_a_song_that_no_try_can_cure_is_moved_at_once(
    reason: str, inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox, "noise.mp3")
    scan_once()
    end = RunEnd(End.failed, f"Flow run encountered an exception: {reason}: AUDIO_NOT_AUDIO: noise.mp3 is no audio. Give another.")
    song = move_ended(ledger, inbox, started(ledger, clock)[0], end, RULES, clock())
    assert song is not None
    assert (song.state, song.tries) == (SongState.failed, 1)
    report = (inbox / "failed" / "noise.mp3.report.txt").read_text(encoding="utf-8")
    assert "AUDIO_NOT_AUDIO: noise.mp3 is no audio" in report


def test_a_failed_song_that_is_put_back_gets_its_tries_again(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox)
    rules = RULES.model_copy(update={"attempts": 1})
    scan_once(rules)
    move_ended(ledger, inbox, started(ledger, clock)[0], RunEnd(End.failed, "no"), rules, clock())
    (inbox / "failed" / "a.mp3").rename(inbox / "a.mp3")
    scan_once(rules)
    again = started(ledger, clock)
    assert [song.tries for song in again] == [2]  # a new key, so a new run


def test_a_crash_is_taken_up_at_once_but_not_for_ever(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox)
    scan_once()
    states = []
    for _ in range(2):
        song = move_ended(ledger, inbox, started(ledger, clock)[0], RunEnd(End.crashed, "The process died."), RULES, clock())
        assert song is not None
        states.append(song.state)
    assert states == [SongState.waiting, SongState.failed]
    assert (inbox / "failed" / "a.mp3").exists()


def test_a_cancelled_song_is_not_tried_again(inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock) -> None:
    drop(inbox)
    scan_once()
    song = move_ended(ledger, inbox, started(ledger, clock)[0], RunEnd(End.cancelled), RULES, clock())
    assert song is not None
    assert song.state is SongState.failed
    assert "cancelled" in (inbox / "failed" / "a.mp3.report.txt").read_text()


def test_finished_files_stay_or_are_moved_as_was_asked(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox, "x/a.mp3")
    drop(inbox, "b.mp3", b"song")
    scan_once()
    move_ended(ledger, inbox, started(ledger, clock)[0], RunEnd(End.completed), RULES, clock())
    assert (inbox / "b.mp3").exists()
    move = RULES.model_copy(update={"move_done": True})
    for song in ledger.songs(SongState.done):
        move_finished(ledger, inbox, song)
    assert sorted(str(path.relative_to(inbox)) for path in inbox.rglob("*.mp3")) == ["done/b.mp3", "done/x/a.mp3"]
    drop(inbox, "late copy.mp3")
    assert [Path(song.path).name for song in scan_once(move).done_before] == ["b.mp3"]


def test_nothing_in_failed_is_overwritten(inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock) -> None:
    rules = RULES.model_copy(update={"attempts": 1})
    for content in (b"one", b"two", b"three"):
        drop(inbox, "a.mp3", content)
        scan_once(rules)
        move_ended(ledger, inbox, started(ledger, clock)[0], RunEnd(End.failed, "no"), rules, clock())
        clock.now += 100
    names = {path.name: path.read_bytes() for path in (inbox / "failed").glob("*.mp3")}
    assert names == {"a.mp3": b"one", "a (2).mp3": b"two", "a (3).mp3": b"three"}


def test_a_file_that_cannot_be_read_is_reported_and_the_others_go_on(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.folder_watch import scan as module

    bad = drop(inbox, "bad.mp3", b"secret")
    drop(inbox, "good.mp3", b"open")
    hash_file = module.sha256_file

    def refuse(path: Path) -> str:
        if path == bad:
            raise PermissionError(13, "Permission denied", str(path))
        return hash_file(path)

    monkeypatch.setattr(module, "sha256_file", refuse)
    scanned = scan_once()
    assert [Path(song.path).name for song in scanned.accepted] == ["good.mp3"]
    scanned = scan_once()
    assert [(record.problem, record.problems) for record in scanned.unreadable] == [("Permission denied", 2)]
    moved = give_up_unreadable(ledger, inbox, scanned.unreadable[0])
    assert moved == inbox / "failed" / "bad.mp3"
    assert "Permission denied" in (inbox / "failed" / "bad.mp3.report.txt").read_text()


def test_names_with_any_characters_are_taken_as_they_are(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    names = ["; rm -rf $HOME `id` && x.mp3", "línea\nnueva.mp3", "夜曲 🎵.mp3", "-rf.mp3", "'\"*?.mp3", "e\u0301.mp3", "\u202eg.mp3"]
    for number, name in enumerate(names):
        drop(inbox, name, str(number).encode())
    assert sorted(Path(song.path).name for song in scan_once().accepted) == sorted(names)
    rules = RULES.model_copy(update={"attempts": 1})
    for song in started(ledger, clock):
        move_ended(ledger, inbox, song, RunEnd(End.failed, "no"), rules, clock())
    assert sorted(path.name for path in (inbox / "failed").glob("*.mp3")) == sorted(names)


class RunMaker:
    """A server that makes runs, and keeps their parameters as they go over the wire."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def read_deployment_by_name(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(id=uuid4())

    def create_flow_run_from_deployment(self, _: UUID, **run: Any) -> SimpleNamespace:
        self.made.append(json.loads(json.dumps({"name": run["name"], **run["parameters"]}).encode("utf-8")))
        return SimpleNamespace(id=uuid4())


LATIN = os.fsdecode(b"\xe9t\xe9/caf\xe9.mp3")


def look(ledger: Ledger, inbox: Path, outbox: Path, server: RunMaker, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One look of the flow at an inbox, as its report is written down."""
    for name in ("reap_dead_runs", "follow"):
        monkeypatch.setattr(watching, name, lambda *_: [])
    rules = RULES.model_copy(update={"settle_sec": 0})
    watch = watching._Watch(server, ledger, inbox, outbox, AnalysisOptions(), rules)  # type: ignore[arg-type]
    report: dict[str, Any] = json.loads(watch.look(sleep=lambda _: None).model_dump_json())
    return report


def test_a_song_whose_name_is_no_text_is_started_through_a_link(
    inbox: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, server = drop(inbox, LATIN, b"music"), RunMaker()
    drop(inbox)
    report = look(ledger, inbox, tmp_path / "out", server, monkeypatch)
    assert (report["files"], report["skipped"]) == (2, [])
    assert sorted(report["started"]) == [r"\xe9t\xe9/caf\xe9.mp3", "a.mp3"]
    made = {Path(run["song"]).name: run for run in server.made}
    assert {name: run["name"] for name, run in made.items()} == {"a.mp3": "a.mp3", "café.mp3": "café.mp3"}
    assert Path(made["café.mp3"]["song"]).resolve() == path
    assert Path(made["café.mp3"]["song"]).read_bytes() == b"music"
    assert Path(made["café.mp3"]["output_dir"]).parent == tmp_path / "out"


def test_a_song_whose_name_is_no_text_is_followed_to_its_end(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    path = drop(inbox, LATIN)
    scan_once()
    assert scan_once().accepted == []  # it is known again
    end = RunEnd(End.failed, "REQUIRED_STEP_FAILED: ingest: AUDIO_SILENT: it is silent. Give another.")
    move_ended(ledger, inbox, started(ledger, clock)[0], end, RULES, clock())
    moved = inbox / "failed" / LATIN
    assert moved.exists()
    assert not path.exists()
    report = moved.with_name(f"{moved.name}.report.txt").read_text(encoding="utf-8")
    assert r"caf\xe9.mp3 could not be analysed" in report
    assert ledger.files() == {}
    drop(inbox, LATIN)  # put back
    assert [song.path for song in scan_once().accepted] == [str(path)]


def test_a_name_that_no_link_can_be_made_to_is_refused_alone(
    inbox: Path, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    drop(inbox, LATIN, b"music")
    drop(inbox)
    data_dir.mkdir()
    (data_dir / "names").write_bytes(b"in the way")
    server = RunMaker()
    report = look(ledger, inbox, tmp_path / "out", server, monkeypatch)
    assert [run["name"] for run in server.made] == ["a.mp3"]
    assert report["started"] == ["a.mp3"]
    assert [name for name, _ in report["ended"]] == [r"\xe9t\xe9/caf\xe9.mp3"]
    assert "failed: AUDIO_PATH_REFUSED" in report["ended"][0][1]
    assert (inbox / "failed" / LATIN).exists()


def test_a_song_that_the_worker_cannot_see_is_not_tried_for_ever(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], clock: Clock
) -> None:
    drop(inbox)
    scan_once()
    end = RunEnd(End.failed, "AUDIO_NOT_FOUND: /inbox/a.mp3 does not exist. Check the path.")
    for _ in range(RULES.attempts):
        song = move_ended(ledger, inbox, started(ledger, clock)[0], end, RULES, clock())
        assert song is not None
        clock.now = song.next_try
    assert song.state is SongState.failed
    assert (inbox / "failed" / "a.mp3").exists()


def test_links_in_circles_hidden_and_partial_files_are_left_alone(inbox: Path, scan_once: Callable[..., InboxScan]) -> None:
    drop(inbox, "a.mp3")
    (inbox / "loop").symlink_to(inbox)
    (inbox / "self.mp3").symlink_to(inbox / "self.mp3")
    drop(inbox, ".hidden.mp3", b"1")
    drop(inbox, "b.mp3.part", b"2")
    drop(inbox, "c.mp3.crdownload", b"3")
    scanned = scan_once()
    assert [Path(song.path).name for song in scanned.accepted] == ["a.mp3"]
    assert [skipped.path.name for skipped in scanned.skipped] == ["self.mp3"]


def test_the_outbox_mirrors_the_inbox(tmp_path: Path) -> None:
    song = SongRecord("c", "o", str(tmp_path / "in" / "x" / "y" / "a.mp3"), SongState.waiting, 0, 0)
    assert place_in(tmp_path / "out", tmp_path / "in", song) == tmp_path / "out" / "x" / "y"


def test_two_watchers_of_one_machine_do_not_share_a_ledger(tmp_path: Path) -> None:
    with opened(tmp_path / "ledger.sqlite") as first, opened(tmp_path / "ledger.sqlite") as second:
        assert first is not None
        assert second is None
    with opened(tmp_path / "ledger.sqlite") as again:
        assert again is not None


def test_a_broken_ledger_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match="ledger"), opened(tmp_path / "ledger.sqlite"):
        pass


def test_a_missing_inbox_is_a_named_error(tmp_path: Path, ledger: Ledger) -> None:
    with pytest.raises(FolderNotFound):
        scan_inbox(ledger, tmp_path / "none", OPTIONS, RULES)


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("Flow run encountered an exception: AudioSilent: AUDIO_SILENT: x is silent. Check.", {"AUDIO_SILENT"}),
        ("REQUIRED_STEP_FAILED: ingest: AUDIO_TRUNCATED: x is cut off. Copy it again.", {"REQUIRED_STEP_FAILED", "AUDIO_TRUNCATED"}),
        ("The process died.", set()),
        ("", set()),
    ],
)
def test_the_codes_are_read_from_a_runs_message(message: str, codes: set[str]) -> None:
    assert message_codes(message) == codes


def test_a_quiet_look_at_many_files_reads_and_writes_nothing(
    inbox: Path, ledger: Ledger, scan_once: Callable[..., InboxScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        drop(inbox, f"{number % 10}/{number}.mp3", str(number).encode())
    scan_once()

    def never(*arguments: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr("flows.folder_watch.scan.sha256_file", never)
    monkeypatch.setattr(Ledger, "put_song", never)
    before = os.stat(inbox.parent / "ledger.sqlite-wal").st_size
    assert scan_once().files == 300
    assert os.stat(inbox.parent / "ledger.sqlite-wal").st_size == before


def test_a_watch_that_could_only_start_runs_that_fail_is_refused(tmp_path: Path) -> None:
    from flows.folder_watch.flow import watch_folder

    with pytest.raises(OptionInvalid, match="slowest tempo"):
        watch_folder.fn(inbox=tmp_path, outbox=tmp_path / "out", options=AnalysisOptions(min_bpm=300))
