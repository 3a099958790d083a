"""The settings, as they are read from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.common.errors import SettingInvalid
from tasks.common.settings import get_settings, reset_settings


@pytest.mark.parametrize(
    ("name", "value"), [("THREADS", "hunter2"), ("DEVICE", "gpu"), ("TASK_RUNNER", "slurm"), ("RETENTION_DAYS", "-1"), ("DEVICE", "cuda:x")]
)
def test_a_value_that_a_setting_cannot_have_is_an_error_that_names_it_without_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PERFORMIA_{name}", value)
    reset_settings()
    with pytest.raises(SettingInvalid, match=f"PERFORMIA_{name}") as caught:
        get_settings()
    assert value not in str(caught.value)


@pytest.mark.parametrize("value", ["cpu", "mps", "cuda", "cuda:1"])
def test_devices(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_DEVICE", value)
    reset_settings()
    assert get_settings().device == value


def test_the_results_go_with_a_remote_store_unless_they_have_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    assert get_settings().results_url == str(data_dir / "cache" / "results")
    monkeypatch.setenv("PERFORMIA_ARTIFACT_STORE", "s3://bucket/audio")
    reset_settings()
    assert get_settings().results_url == "s3://bucket/audio/results"
    monkeypatch.setenv("PERFORMIA_RESULTS_STORE", "/elsewhere")
    reset_settings()
    assert get_settings().results_url == "/elsewhere"
