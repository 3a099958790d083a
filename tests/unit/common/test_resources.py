"""What this machine offers."""

import pytest

from tasks.common import resources
from tasks.common.settings import reset_settings


def test_the_settings_choose_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_THREADS", "3")
    reset_settings()
    assert resources.threads() == 3


def test_without_settings_there_is_a_thread_a_core() -> None:
    assert resources.threads() == resources.available_cores() >= 1
