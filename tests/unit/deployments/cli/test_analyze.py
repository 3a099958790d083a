"""How the `analyze` command begins: the flow is imported while a song is decoded."""

from __future__ import annotations

import threading

import pytest

from deployments.cli.analyze import FlowLoader
from schemas.options import AnalysisOptions


def test_what_separates_is_loaded_once_a_song_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    monkeypatch.setattr("tasks.separation.separate.load_ahead", lambda _: loaded.set())
    flow = FlowLoader(AnalysisOptions())
    assert not flow.is_loading()
    flow.start()
    flow.start()  # for a second song, after a bad first one
    assert not loaded.wait(0.5)
    assert flow.is_loading()
    flow.load_engine()
    assert loaded.wait(60)
    flow._thread.join(10)
    assert not flow.is_loading()
