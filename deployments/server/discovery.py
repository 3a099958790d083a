"""Which API a running `performia serve` of this data directory runs, and whether we may talk to it."""

from __future__ import annotations

import json
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from tasks.common.errors import ApiUnreachable
from tasks.common.locks import is_held
from tasks.common.settings import get_settings
from tasks.common.shown_url import shown_url


def serving_file() -> Path:
    """Where `performia serve` says which API it runs; a lock beside it says that it still does."""
    return get_settings().data_dir / "serve.json"


def serving_url() -> str | None:
    """The API that a running `performia serve` of this data directory runs."""
    file = serving_file()
    try:
        url = json.loads(file.read_text(encoding="utf-8"))["api_url"]
        return str(url) if is_held(file.with_suffix(".lock")) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def served_folders() -> dict[str, Path]:
    """The inbox and the output folder of a running `performia serve` of this data directory; empty where none runs."""
    if serving_url() is None:
        return {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(serving_file().read_text(encoding="utf-8"))
        return {"inbox_dir": Path(told["inbox"]), "output_dir": Path(told["songs"])}
    return {}


def refuse_without_password(url: str) -> None:
    """Raise ApiUnreachable where a server wants a password and the environment has none, or another."""
    import httpx
    from prefect.settings import get_current_settings

    given = get_current_settings().api.auth_string
    secret = given.get_secret_value() if given is not None else ""
    user, _, password = secret.partition(":")
    with suppress(httpx.HTTPError):
        if httpx.get(f"{url}/admin/version", auth=(user, password) if secret else None, timeout=10).status_code == HTTPStatus.UNAUTHORIZED:
            raise ApiUnreachable(
                f"The service at {shown_url(url)} wants a password",
                "Set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING",
            )
