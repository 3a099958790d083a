"""How much a run may be asked for: Prefect's server keeps the parameters of a run, and refuses those that are too long as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from prefect.settings import get_current_settings

#: What is kept free for the path of the song, and of its folder, which may not be known yet: 4096 letters, of six bytes each (`\\uXXXX`).
_PATHS: Final = 24_576


def too_long(parameters: Mapping[str, Any]) -> str | None:
    """What is wrong with parameters, as JSON without paths, of which Prefect's server would refuse to make a run; None where nothing is.

    Its own settings say how much it takes: `PREFECT_SERVER_API_MAX_PARAMETER_SIZE`, the same for all processes of an installation.
    """
    limit = get_current_settings().server.api.max_parameter_size
    most = limit - min(_PATHS, limit // 10)
    size = len(json.dumps(parameters, separators=(",", ":")))
    if not limit or size <= most:
        return None
    return (
        f"Options, lyrics and corrections take {size:,} bytes together, more than the {most:,} that a run may have; "
        "letters beyond ASCII take six each"
    )
