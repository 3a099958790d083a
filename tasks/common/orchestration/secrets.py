"""The credentials of a remote store, from a Prefect Secret block."""

from __future__ import annotations

from typing import Any


def read_secret(name: str) -> Any:
    """What the block holds. Raises whatever Prefect raises where there is none."""
    from prefect.blocks.system import Secret

    return Secret.load(name, _sync=True).get()  # type: ignore[call-arg,union-attr]
