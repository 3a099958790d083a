"""Whole runs: with light engines that answer at once, and with the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import light_engines as light
import numpy as np
import pytest
import soundfile


@pytest.fixture
def short_song(tmp_path: Path) -> Path:
    """Four seconds of two tones."""
    time = np.arange(4 * 44100) / 44100
    path = tmp_path / "short song.wav"
    soundfile.write(path, np.column_stack([0.3 * np.sin(2 * np.pi * f * time) for f in (220, 330)]), 44100)
    return path


@pytest.fixture
def light_engines(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., Any]]:
    """Replace every heavy step by one that answers at once. Change an entry of the returned dict to change a step; `calls` counts them."""
    calls: dict[str, int] = {}
    engines: dict[str, Any] = {"calls": calls, **light.ENGINES}

    def through(target: str) -> Callable[..., Any]:
        def call(*inputs: Any) -> Any:
            calls[target.rsplit(".", 1)[1]] = calls.get(target.rsplit(".", 1)[1], 0) + 1
            return engines[target](*inputs)

        return call

    for target in [name for name in engines if name != "calls"]:
        monkeypatch.setattr(target, through(target))
    return engines
