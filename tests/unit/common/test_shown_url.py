"""What is shown of a URL, and of a request that failed."""

from __future__ import annotations

import httpx
import pytest

from tasks.common.shown_url import shown_failure, shown_url


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


def refused(status: int, url: str = "https://ann:secret@host:4200/api/flow_runs/?token=1") -> httpx.HTTPStatusError:
    response = httpx.Response(status, request=httpx.Request("GET", url))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    return caught.value


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (refused(503), "503 Service Unavailable"),
        (refused(599), "status 599"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "ConnectError: [Errno 111] Connection refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.ConnectError("'http://ann:secret@host/api?token=1' refused"), "ConnectError: 'http://host/api' refused"),
    ],
)
def test_a_request_that_failed_is_shown_without_what_its_address_hides(error: Exception, shown: str) -> None:
    assert shown_failure(error) == shown
