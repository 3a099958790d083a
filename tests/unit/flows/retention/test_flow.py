"""What a run of `prune` is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flows.retention import flow


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"older_than_days": 3.0}, "unused for 3 days"),
        ({"older_than_days": 0.5, "dry_run": True}, "unused for 0.5 days (dry run)"),
        ({}, "unused for 7 days"),
        (None, "unused for 7 days"),
    ],
)
def test_a_run_is_called_by_what_is_asked_for(parameters: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "flow_run", SimpleNamespace(parameters=parameters))
    assert flow.flow_run_name() == name
