"""The environment of Prefect's server and client in our processes. What a user has set himself wins."""

from __future__ import annotations

import os

from tasks.common.orchestration.client_settings import CLIENT_SETTINGS

#: What keeps the server and the client quiet, offline and patient; a user's own values win.
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    **CLIENT_SETTINGS,
}


def quiet_prefect() -> None:
    """Set Prefect's environment for a command-line tool and all that it starts. Call before Prefect is imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


#: What a server does by the clock, as seldom as nobody notices. In brackets: Prefect's default, for a server that many workers ask.
_AT_REST = {
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",  # [5] marks a run as late that nobody started
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",  # [5] our flows do not pause
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "30",  # [5] a schedule that a person has changed
    "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",  # [5] messages to workers
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "30",  # [15] leases of slots, which last for two minutes
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "30",  # [15] who has not asked for a minute
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT30S",  # [5 s] automations that wait for something not to happen, minutes long
}
#: What a server of one machine needs to come back after a crash as it was, and to hand slots over without long pauses.
LASTING = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
    # The UI asks where it was loaded from, whatever the port.
    "PREFECT_SERVER_UI_API_URL": "/api",
    # Prefect makes an hour's scheduled runs in advance; after a pause, all that were missed would start at once.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
    # One future run of each schedule in the UI's lists, not three.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "1",
    **_AT_REST,
}


def own_pages_only(port: int) -> dict[str, str]:
    """What Prefect itself does against pages that are not the server's own, besides `deployments.server.door`. A user's own values win."""
    return {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
        # On as long as the clients' half is.
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": os.environ.get("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED", "true"),
    }
