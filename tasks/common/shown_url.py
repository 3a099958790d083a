"""A URL, and a request that failed, as they may be shown and logged."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query, fragment. What is no URL is not shown at all."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a broken URL"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def shown_failure(error: Exception) -> str:
    """What became of an HTTP request: the status that came back, or the error's name and words, without what an address in them hides.

    httpx writes the whole address into its error of a status.
    """
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else f"status {status}"
    words = re.sub(r"\w+://[^\s'\"<>]+", lambda url: shown_url(url[0]), str(error))
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
