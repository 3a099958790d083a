"""A Prefect server that is not there, or does not get round to answering, is named in one way: `API_UNREACHABLE`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from tasks.common.errors import ApiUnreachable
from tasks.common.shown_url import shown_failure, shown_url


def refuse_unreachable(url: str) -> None:
    """Raise ApiUnreachable where nothing answers at the address that Prefect's settings name. One that answers may still be busy."""
    import httpx
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
    if isinstance(problem, httpx.TransportError):
        raise ApiUnreachable(f"The Prefect server at {shown_url(url)} does not answer ({shown_failure(problem)})") from problem


def named(error: Exception) -> Exception:
    """ApiUnreachable for what Prefect's client raises once it has asked in vain for long enough; any other error as it is."""
    import httpx

    in_vain = isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error
    if in_vain or isinstance(error, httpx.TransportError):
        what = ApiUnreachable(f"The Prefect server does not answer ({shown_failure(error)})")
        what.__cause__ = error
        return what
    return error


def leave_at_once(code: int) -> NoReturn:
    """End the process. In order, Prefect would try for seconds to send each event that is queued, to a server that is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
