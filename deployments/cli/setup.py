"""`performia setup`: make what the configured Prefect server lacks, and say what was changed."""

from __future__ import annotations

import httpx

from deployments.server.embedded_api import EmbeddedApi
from tasks.common.errors import ApiUnreachable, OptionInvalid
from tasks.common.resources import RESOURCE_TAGS
from tasks.common.shown_url import shown_failure, shown_url


def setup(chosen: list[str]) -> int:
    """Install, print every change, and return the exit code. Raises OptionInvalid, ApiUnreachable."""
    limits = _limits(chosen)
    with EmbeddedApi.of_settings() as api:
        from prefect.client.orchestration import get_client

        from deployments.installation import install, make_watch_automation

        try:
            with get_client(sync_client=True) as client:
                changes = [*install(client, limits), *make_watch_automation(client)]
        except httpx.TransportError as error:
            raise ApiUnreachable(f"The Prefect server at {shown_url(api.url)} does not answer ({shown_failure(error)})") from error
    for change in changes:
        print(f"made {change}")
    if not changes:
        print("nothing to do: everything is there")
    return 0


def _limits(chosen: list[str]) -> dict[str, int]:
    limits = {}
    for item in chosen:
        name, _, slots = item.partition("=")
        if name not in RESOURCE_TAGS or not slots.isdigit() or not int(slots):
            raise OptionInvalid(f"--limit {item}: not NAME=SLOTS", f"NAME is one of: {', '.join(RESOURCE_TAGS)}")
        limits[name] = int(slots)
    return limits
