"""The API without a Prefect server: what is asked of songs alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from api_songs import Songs
from starlette.testclient import TestClient

from tasks.common.settings import get_settings


@pytest.fixture
def songs(data_dir: Path) -> Songs:
    return Songs(get_settings())


@pytest.fixture
def client(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Asks the API in this process. No analysis is going on."""
    from deployments.api import song_removal
    from deployments.api.app import create_app

    monkeypatch.setattr(song_removal, "_unused_since", lambda: time.time() + 1)
    return TestClient(create_app(get_settings()), base_url="http://127.0.0.1", raise_server_exceptions=False)
