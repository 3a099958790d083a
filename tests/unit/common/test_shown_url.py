"""What is shown of a URL."""

from __future__ import annotations

import pytest

from tasks.common.shown_url import shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:pa@ss@host:4200/api?token=1#x", "https://host:4200/api"),
        ("s3://key:secret@bucket/performia", "s3://bucket/performia"),
        ("http://[::1]:4200/api", "http://[::1]:4200/api"),
        ("http://ann:secret@[broken/api", "a broken URL"),
        ("nonsense", "nonsense"),
        ("file:///data/results", "file:///data/results"),
    ],
)
def test_nothing_secret_is_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
