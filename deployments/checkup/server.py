"""The check-up of the Prefect server: reachable, of the right version, safe, and with everything that `performia setup` makes."""

from __future__ import annotations

import datetime
import email.utils
import ipaddress
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from deployments.checkup.machine import Finding
from tasks.common.resources import RESOURCE_TAGS
from tasks.common.shown_url import shown_url

_TIMEOUT_SEC: Final = 2.0
#: Prune and the folder watch compare the server's times with this machine's.
_SKEW_SEC: Final = 30.0
#: A served deployment is asked for at least as often as this.
_POLLED_SEC: Final = 90.0
_SETUP: Final = "Run `performia setup`"


def check_server(url: str | None) -> list[Finding]:
    """Everything about the server at this URL; None where none is configured."""
    if not url:
        return [Finding("prefect api", "ok", "none configured: commands start their own", "")]
    try:
        answer = httpx.get(f"{url}/health", timeout=_TIMEOUT_SEC)
        version = httpx.get(f"{url}/admin/version", timeout=_TIMEOUT_SEC, headers=_auth_headers())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        todo = "Start it (`performia serve`, `prefect server start`), or unset PREFECT_API_URL to do without"
        return [Finding("prefect api", "problem", f"{shown_url(url)} does not answer ({type(error).__name__})", todo)]
    findings = [check_api(url, version), check_clock(answer.headers.get("date"), time.time()), check_exposure(url)]
    if version.status_code == httpx.codes.OK:
        findings += check_database(url), *_inside(url)
    return findings


def check_api(url: str, version: httpx.Response) -> Finding:
    """Whether the server lets us in and speaks the same version."""
    import prefect
    from packaging.version import InvalidVersion, Version

    if version.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        todo = "Set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING"
        return Finding("prefect api", "problem", f"{shown_url(url)} wants an auth string, and refuses the one that is set, or none", todo)
    try:
        server, client = Version(str(version.json())), Version(prefect.__version__)
    except (ValueError, InvalidVersion):
        todo = "Check PREFECT_API_URL: it ends in /api"
        return Finding("prefect api", "problem", f"{shown_url(url)} is not a Prefect API (status {version.status_code})", todo)
    found = f"{shown_url(url)}, version {server}"
    if server.major != client.major:
        return Finding("prefect api", "problem", f"{found}; this is {client}", "Install the same major version on both sides")
    if server < client:
        return Finding("prefect api", "warning", f"{found}; this is {client}", "Upgrade the server")
    return Finding("prefect api", "ok", found)


def check_database(url: str) -> Finding:
    """Whether the server reaches its database, and how fast it answers."""
    started = time.monotonic()
    try:
        ready = httpx.get(f"{url}/ready", timeout=_TIMEOUT_SEC, headers=_auth_headers())
    except httpx.HTTPError as error:
        return Finding("database", "problem", f"no answer ({type(error).__name__})", "Look into the server's log")
    if ready.status_code != httpx.codes.OK:
        return Finding("database", "problem", f"the server cannot reach it (status {ready.status_code})", "Look into the server's log")
    return Finding("database", "ok", f"answers in {1000 * (time.monotonic() - started):.0f} ms")


def check_clock(date: str | None, now: float) -> Finding:
    """Whether the clocks agree. date: the server's `Date` header."""
    if date is None:
        return Finding("clock", "ok", "the server does not say what time it is")
    try:
        skew = now - email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return Finding("clock", "ok", "the server does not say what time it is")
    if abs(skew) > _SKEW_SEC:
        return Finding("clock", "warning", f"{skew:+.0f} s against the server's", "Let both machines set their clocks by the network (NTP)")
    return Finding("clock", "ok", "as the server's")


def check_exposure(url: str) -> Finding:
    """Whether others could use the API without a secret: who may start a flow may have files read and written.

    Others are programs of other machines, and pages of others in a browser of this one: their requests come from this machine, too.
    """
    parts = urlsplit(url)
    try:
        anonymous = httpx.get(f"{url}/admin/settings", timeout=_TIMEOUT_SEC)
    except httpx.HTTPError as error:
        return Finding("exposure", "warning", f"could not be told ({type(error).__name__})", "Run `performia doctor` again")
    is_open = anonymous.status_code == httpx.codes.OK
    bound = _bound_host(anonymous) if is_open else ""
    outside = [host for host in (parts.hostname or "", bound) if host and not is_loopback(host)]
    if outside and is_open:
        todo = "Set PREFECT_SERVER_API_AUTH_STRING for the server and PREFECT_API_AUTH_STRING for its clients, or bind it to 127.0.0.1"
        return Finding("exposure", "problem", f"the API listens on {outside[0]} and asks for no auth string", todo)
    if is_open and _answers_pages(url):
        todo = "Run `performia serve` instead, or set PREFECT_SERVER_API_AUTH_STRING for it and PREFECT_API_AUTH_STRING for its clients"
        return Finding("exposure", "warning", "loopback only, but any web page that is open in a browser here can use it", todo)
    if not is_open and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return Finding("exposure", "warning", "the auth string crosses the network in clear", "Put the server behind https")
    return Finding("exposure", "ok", "loopback only, and no pages but its own" if is_open else "asks for an auth string")


def check_limits(client: Any) -> list[Finding]:
    """The limits of scarce resources: there, open, and with slots."""
    there = {limit.name: limit for limit in client.read_global_concurrency_limits(limit=200)}
    findings = []
    for name in RESOURCE_TAGS:
        limit = there.get(name)
        if limit is None:
            findings.append(Finding(f"limit {name}", "warning", "not there: nothing limits it", _SETUP))
        elif not limit.active:
            findings.append(Finding(f"limit {name}", "warning", "switched off: nothing limits it", "Switch it on in the UI"))
        elif limit.limit < 1:
            findings.append(Finding(f"limit {name}", "problem", "no slots: steps wait for ever", f"Run `performia setup --limit {name}=1`"))
        else:
            findings.append(Finding(f"limit {name}", "ok", f"{limit.active_slots} of {limit.limit} in use"))
    return findings


def check_pool(client: Any) -> Finding:
    """The work pool, and whether a worker works for it."""
    from prefect.exceptions import ObjectNotFound

    from deployments.definitions import WORK_POOL

    try:
        pool = client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        return Finding("work pool", "warning", f"no pool named {WORK_POOL}", f"{_SETUP}; only `prefect deploy` needs it")
    if pool.is_paused:
        return Finding("work pool", "warning", f"{WORK_POOL} is paused", f"Run `prefect work-pool resume {WORK_POOL}`")
    workers = client.read_workers_for_work_pool(WORK_POOL)
    online = [worker.name for worker in workers if str(getattr(worker.status, "value", worker.status)) == "ONLINE"]
    return Finding("work pool", "ok", f"{WORK_POOL} ({pool.type}), {len(online)} workers online")


def check_automation(client: Any) -> Finding:
    """The automation that ends runs whose machine died."""
    ours = [automation for automation in client.read_automations() if automation.name.startswith("Performia")]
    if not ours:
        return Finding("automation", "warning", "none: runs of a dead machine stay Running", _SETUP)
    paused = [automation.name for automation in ours if not automation.enabled]
    if paused:
        return Finding("automation", "warning", f"paused: {', '.join(paused)}", "Switch it on in the UI")
    return Finding("automation", "ok", ", ".join(automation.name for automation in ours))


def check_deployments(client: Any, now: datetime.datetime) -> list[Finding]:
    """What can be started, and whether anybody is there to run it."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    from deployments.definitions import DEFINITIONS
    from tasks.common.orchestration.liveness import FLOWS

    found = client.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))))
    there = {deployment.name: deployment for deployment in found}
    names = [definition.name for definition in DEFINITIONS]
    missing = [name for name in names if name not in there]
    if len(missing) == len(names):
        todo = "Run `performia serve`, or `prefect deploy --all` and a worker"
        return [Finding("deployments", "warning", "none: nothing can be started from the UI, and no folder is watched", todo)]
    findings = [
        Finding("deployments", "warning", f"missing: {', '.join(missing)}", "Run `performia serve`, or `prefect deploy --all`")
        if missing
        else Finding("deployments", "ok", ", ".join(names))
    ]
    paused = [name for name in names if name in there and there[name].paused]
    if paused:
        findings.append(Finding("schedules", "warning", f"paused: {', '.join(paused)}", "Resume them in the UI, or run `performia serve`"))
    asleep = [name for name in names if name in there and not _is_polled(there[name], now)]
    if asleep:
        todo = "Start `performia serve`, or `prefect worker start --pool performia`"
        findings.append(Finding("service", "problem", f"nobody runs {', '.join(asleep)}: no runner or worker asks for its runs", todo))
    else:
        findings.append(Finding("service", "ok", "a runner or worker asks for runs"))
    return findings


def check_late(client: Any) -> Finding:
    """Runs that should have started and did not."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName

    from tasks.common.orchestration.liveness import FLOWS

    late = client.count_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))),
    )
    if late:
        return Finding("late runs", "warning", f"{late} runs wait to be started", "Look at them in the UI: is a worker there, with room?")
    return Finding("late runs", "ok", "none")


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _inside(url: str) -> list[Finding]:
    """The checks that ask the API itself. What an older server does not know is a warning, not a failure."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    checks: list[tuple[str, Callable[[Any], Finding | list[Finding]]]] = [
        ("limits", check_limits),
        ("work pool", check_pool),
        ("automation", check_automation),
        ("deployments", lambda client: check_deployments(client, datetime.datetime.now(datetime.UTC))),
        ("late runs", check_late),
    ]
    findings: list[Finding] = []
    with (
        temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": 2 * _TIMEOUT_SEC}, sync_client=True) as client,
    ):
        for name, check in checks:
            try:
                found = check(client)
            except httpx.TransportError as error:
                todo = "Look into the server's log"
                return [*findings, Finding(name, "problem", f"the server does not answer any more ({type(error).__name__})", todo)]
            except Exception as error:  # noqa: BLE001 (one check that fails must not hide the others)
                found = Finding(name, "warning", f"could not be told ({type(error).__name__})", "Look into the server's log")
            findings += found if isinstance(found, list) else [found]
    return findings


def _is_polled(deployment: Any, now: datetime.datetime) -> bool:
    if deployment.last_polled is not None and (now - deployment.last_polled).total_seconds() < _POLLED_SEC:
        return True
    return str(getattr(deployment.status, "value", deployment.status)) == "READY"


def _bound_host(settings: httpx.Response) -> str:
    """The address that the server says it is bound to."""
    try:
        return str(settings.json()["server"]["api"]["host"])
    except (ValueError, KeyError, TypeError):
        return ""


def _answers_pages(url: str) -> bool:
    """Whether the server answers a page of another origin, under a name that was led to this machine."""
    stranger = {"Host": "elsewhere.invalid", "Origin": "http://elsewhere.invalid"}
    try:
        return httpx.get(f"{url}/admin/version", timeout=_TIMEOUT_SEC, headers=stranger).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _auth_headers() -> dict[str, str]:
    """As Prefect's client authenticates."""
    import base64

    from prefect.settings import get_current_settings

    api = get_current_settings().api
    if api.key:
        return {"Authorization": f"Bearer {api.key.get_secret_value()}"}
    if api.auth_string:
        return {"Authorization": f"Basic {base64.b64encode(api.auth_string.get_secret_value().encode()).decode()}"}
    return {}
