"""Where the commands and the service talk to a person: on standard error, so that standard output stays free for results."""

from __future__ import annotations

from rich.console import Console


def error_console() -> Console:
    return Console(stderr=True, highlight=False)
