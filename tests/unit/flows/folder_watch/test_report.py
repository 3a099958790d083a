"""What a look at the inbox led to, as a person reads it."""

from __future__ import annotations

from flows.folder_watch.report import WatchReport


def test_what_happened_adds_up_and_what_is_there_is_as_it_was_last_seen() -> None:
    first = WatchReport(inbox="/in", files=3, accepted=("a.mp3",), songs={"waiting": 1})
    second = WatchReport(inbox="/in", files=2, ended=(("a.mp3", "done"),), songs={"done": 1})
    both = first.with_look(second)
    assert (both.files, both.accepted, both.ended, both.songs) == (2, ("a.mp3",), (("a.mp3", "done"),), {"done": 1})


def test_of_a_long_run_the_latest_is_kept() -> None:
    report = WatchReport(inbox="/in")
    for number in range(300):
        report = report.with_look(WatchReport(inbox="/in", started=(f"{number}.mp3",)))
    assert len(report.started) == 200
    assert report.started[-1] == "299.mp3"


def test_the_line_says_what_there_is() -> None:
    assert WatchReport(inbox="/in", files=2, songs={"done": 1, "failed": 0}).line() == "2 files; songs: 1 done"
    assert WatchReport(inbox="/in").line() == "0 files; songs: none"
    assert WatchReport(inbox="/in", busy=True).line() == "another watcher is at this folder"


def test_names_do_not_break_the_table() -> None:
    text = WatchReport(inbox="/in", ended=(("a|b`c`.mp3", "done"),)).markdown()
    row = text.splitlines()[-1]
    assert row.count(" | ") == 1
    assert "a|b" not in row


def test_only_what_a_person_may_want_to_see_is_an_event() -> None:
    assert not WatchReport(inbox="/in", files=9, skipped=(("x", "a folder"),)).eventful
    assert WatchReport(inbox="/in", dead_runs=("x",)).eventful
