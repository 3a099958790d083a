"""madmom's networks are quiet, and give back their memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from tasks.common.networks.madmom_support import quieten


def test_every_network_within_a_processor_gets_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda source, sess_options, providers: made.append((source, sess_options)))

    def network(source: str) -> Any:
        options = SimpleNamespace(log_severity_level=2, enable_cpu_mem_arena=True, enable_mem_pattern=True)
        return SimpleNamespace(_runtime=SimpleNamespace(session_options=options, _model_source=source, providers=["CPU"], session="old"))

    first, second = network("a.onnx"), network("b.onnx")
    quieten(SimpleNamespace(processors=[first, SimpleNamespace(processors=[second])]))
    assert [source for source, _ in made] == ["a.onnx", "b.onnx"]
    assert all((o.log_severity_level, o.enable_cpu_mem_arena, o.enable_mem_pattern) == (3, False, False) for _, o in made)
