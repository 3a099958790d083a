"""What Prefect's client is told wherever our flows run: in our commands, in a person's own code, and in the runs of our deployments.

Known without Prefect, whose import takes seconds.
"""

from __future__ import annotations

from typing import Final

#: How often a run tells its server that it lives. The automation of `performia setup` ends one that has not for four times as long.
HEARTBEAT_SEC: Final = 30

#: How Prefect's client waits for a server that is busy or away, in our commands and in the runs of our deployments.
PATIENCE: Final = {
    # After 2, 4, 8, ... seconds: for two minutes, as long as a step waits for its slot. By default it is one.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    # 429, 502 and 503 always; 500 is a server on SQLite whose connections all wait for another writer, 504 one behind a proxy.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
}

#: All of it. Prefect's own heartbeat comes every three minutes, too seldom for that automation.
CLIENT_SETTINGS: Final = {**PATIENCE, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SEC)}
