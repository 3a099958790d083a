"""What a folder's run shows in the UI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.folder_analysis import page
from flows.folder_analysis.page import FolderArtifacts
from schemas.batch import BatchSummary, SongEntry


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What was asked of Prefect."""
    calls: dict[str, list[Any]] = {"progress": [], "table": []}
    monkeypatch.setattr(page, "create_progress_artifact", lambda percent, **_: calls["progress"].append(percent) or "the-id")
    monkeypatch.setattr(page, "update_progress_artifact", lambda which, percent: calls["progress"].append((which, percent)))
    monkeypatch.setattr(page, "create_table_artifact", lambda table, **more: calls["table"].append((table, more)))
    return calls


def summary() -> BatchSummary:
    return BatchSummary(
        folder="/in", output_dir="/out", manifest="/out/manifest.json", songs=2, done=1, failed=1, at_once=1, memory_budget_gib=1
    )


def test_the_progress_is_one_artifact_that_moves(made: dict[str, list[Any]]) -> None:
    artifacts = FolderArtifacts(Path("/in"))
    artifacts.show_progress(0, 4)
    artifacts.show_progress(1, 4)
    assert made["progress"] == [0.0, ("the-id", 25.0)]


def test_a_folder_with_nothing_to_do_is_done(made: dict[str, list[Any]]) -> None:
    FolderArtifacts(Path("/in")).show_progress(0, 0)
    assert made["progress"] == [100.0]


def test_what_went_wrong_comes_first(made: dict[str, list[Any]]) -> None:
    good = SongEntry(file="/in/a.mp3", status="done", bpm=120.0)
    bad = SongEntry(file="/in/b.mp3", status="failed", error_code="AUDIO_EMPTY")
    FolderArtifacts(Path("/in")).show_table(summary(), [good, bad])
    ((table, more),) = made["table"]
    assert [row["file"] for row in table] == ["/in/b.mp3", "/in/a.mp3"]
    assert table[0]["bpm"] == ""
    assert "2 songs: 1 done, 0 cached, 0 partial, 1 failed" in more["description"]


def test_a_server_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError("away")

    for name in ("create_progress_artifact", "update_progress_artifact", "create_table_artifact"):
        monkeypatch.setattr(page, name, away)
    artifacts = FolderArtifacts(Path("/in"))
    artifacts.show_progress(1, 2)
    artifacts.show_table(summary(), [])
