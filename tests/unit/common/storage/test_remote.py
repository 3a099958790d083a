"""Where the credentials of a remote store come from, and that they are shown nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.common.errors import StorageError
from tasks.common.orchestration.secrets import read_secret
from tasks.common.settings import reset_settings
from tasks.common.storage.remote import open_store, read_secrets_with


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PERFORMIA_STORE_SECRET", "the-block")
    reset_settings()
    yield
    read_secrets_with(read_secret)


def test_the_options_of_the_secret_reach_the_store(tmp_path: Path) -> None:
    read_secrets_with(lambda name: {"auto_mkdir": True} if name == "the-block" else {})
    fs, path = open_store(f"file://{tmp_path}/place")
    assert (path, fs.auto_mkdir) == (f"{tmp_path}/place", True)


def failing(_: str) -> Any:
    raise ValueError("its text says key=hidden")


@pytest.mark.parametrize(
    ("reader", "says"), [(failing, r"cannot be read \(ValueError\)"), (lambda _: "text", "does not hold a JSON object")]
)
def test_a_secret_that_is_no_good_is_named_and_not_told(reader: Any, says: str) -> None:
    read_secrets_with(reader)
    with pytest.raises(StorageError, match=says) as caught:
        open_store("memory://bucket")
    assert "hidden" not in str(caught.value)
