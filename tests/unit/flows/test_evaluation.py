"""The steps that a scoreboard asks for, and those whose results they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import evaluation
from flows.evaluation import evaluate_song
from flows.song_analysis import STEP_TASKS


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What was submitted with what, by step; each finds its own name."""
    seen: dict[str, tuple[Any, ...]] = {}

    class Step:
        def __init__(self, name: str):
            self.name = name

        def submit(self, *inputs: Any) -> str:
            seen[self.name] = inputs
            return self.name

    monkeypatch.setattr(evaluation, "STEP_TASKS", {name: Step(name) for name in STEP_TASKS})
    monkeypatch.setattr(evaluation, "file_identity", lambda song: "sha")
    return seen


@pytest.mark.parametrize(
    ("asked", "scored_with", "run"),
    [
        (["melody"], [], {"ingest", "separation", "melody"}),
        (["chords"], ["beats_key"], {"ingest", "separation", "beats_key", "chords"}),
        (["structure"], [], {"ingest", "separation", "beats_key", "asr", "chords", "structure"}),
    ],
)
def test_only_what_is_asked_for_and_what_it_reads_or_is_scored_with_runs(
    asked: list[Any], scored_with: list[str], run: set[str], submitted: dict[str, Any]
) -> None:
    found = evaluate_song.fn(Path("song.mp3"), asked)
    assert set(submitted) == run
    assert found == {name: name for name in ("ingest", "separation", *asked, *scored_with)}
    assert submitted["ingest"] == (Path("song.mp3"), "sha", None, False)
