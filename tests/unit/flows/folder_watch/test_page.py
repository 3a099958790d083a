"""The page of a run of the watch."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from flows.folder_watch import page
from flows.folder_watch.page import WatchPage
from flows.folder_watch.report import WatchReport


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written to the server: the artifact's text, each time."""
    texts: list[str] = []
    client = SimpleNamespace(update_artifact=lambda which, change: texts.append(f"{which}: {change.data}"))
    monkeypatch.setattr(page, "create_markdown_artifact", lambda text, **_: texts.append(text) or "the-id")
    monkeypatch.setattr(page, "get_client", lambda sync_client: nullcontext(client))
    return texts


def test_a_quiet_look_leaves_no_artifact(shown: list[str]) -> None:
    WatchPage("/in").tell(WatchReport(inbox="/in", files=3))
    assert shown == []


def test_a_run_that_stays_has_one_artifact_that_changes_when_something_does(shown: list[str]) -> None:
    watch = WatchPage("/in")
    for report in (WatchReport(inbox="/in"), WatchReport(inbox="/in"), WatchReport(inbox="/in", accepted=("a.mp3",))):
        watch.tell(report, stays=True)
    first, second = shown
    assert first.startswith("# /in")
    assert second.startswith("the-id: # /in")
    assert "accepted" in second


def test_a_server_that_is_away_is_told_the_next_time(shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    watch = WatchPage("/in")
    create = page.create_markdown_artifact

    def away(*_: Any, **__: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr(page, "create_markdown_artifact", away)
    watch.tell(WatchReport(inbox="/in", accepted=("a.mp3",)))
    monkeypatch.setattr(page, "create_markdown_artifact", create)
    watch.tell(WatchReport(inbox="/in"))
    assert len(shown) == 1


def test_the_state_of_a_run_that_is_over_says_what_there_is(shown: list[str]) -> None:
    state: Any = WatchPage("/in").ended(busy=True)
    assert state.message == "another watcher is at this folder"
    assert state.is_completed()
