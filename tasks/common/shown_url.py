"""A URL as it may be shown and logged."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password, query, fragment. What is no URL is not shown at all."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a broken URL"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
