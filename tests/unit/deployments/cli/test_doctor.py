"""`performia doctor`: the checks of the server, and what is shown."""

from __future__ import annotations

import datetime
import email.utils
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import prefect
import pytest
from filelock import FileLock
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, temporary_settings
from rich.console import Console

from deployments.checkup import server as doctor_server
from deployments.checkup.machine import Finding
from deployments.cli import doctor as doctor_command
from deployments.cli.doctor import doctor, examine, in_time, show
from deployments.definitions import DEFINITIONS
from tasks.common.settings import reset_settings

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
API = "http://127.0.0.1:4200/api"


def answers(monkeypatch: pytest.MonkeyPatch, handler: Callable[[httpx.Request], httpx.Response]) -> list[httpx.Request]:
    """The server answers as `handler` does; returns what it was asked."""
    asked: list[httpx.Request] = []

    def get(url: str, timeout: float, headers: dict[str, str] | None = None) -> httpx.Response:
        request = httpx.Request("GET", url, headers=headers)
        asked.append(request)
        return handler(request)

    monkeypatch.setattr(httpx, "get", get)
    return asked


def a_server(host: str = "127.0.0.1", secret: str = "", version: str = prefect.__version__, ready: int = 200, stock: bool = False) -> Any:
    """stock: as Prefect starts one, which answers to every name."""

    def handle(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        if path == "/health":
            return httpx.Response(200, json=True, headers={"date": email.utils.formatdate(usegmt=True)})
        if path == "/ready":
            return httpx.Response(ready, json={})
        if secret and not request.headers.get("authorization"):
            return httpx.Response(401, json={"exception_message": "Unauthorized"})
        if not stock and request.headers["host"] == "elsewhere.invalid":
            return httpx.Response(403)
        return httpx.Response(200, json=version if path == "/admin/version" else {"server": {"api": {"host": host}}})

    return handle


def by_check(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


# --- reachable, and of which version -----------------------------------------------------------------------------------------------------


def test_no_server_is_good_too() -> None:
    assert doctor_server.check_server(None) == [Finding("prefect api", "ok", "none configured: commands start their own")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api", "nonsense", "http://", "http://[broken/api"])
def test_a_server_that_does_not_answer_is_a_problem(url: str) -> None:
    (finding,) = doctor_server.check_server(url)
    assert (finding.check, finding.level) == ("prefect api", "problem")
    assert "performia serve" in finding.todo


def test_a_server_that_hangs_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    asked = answers(monkeypatch, hang)
    assert doctor_server.check_server(API)[0].level == "problem"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("version", "level"),
    [(prefect.__version__, "ok"), ("3.0.1", "warning"), ("2.20.0", "problem"), ("4.0.0", "problem"), ("soup", "problem")],
)
def test_versions_are_compared(version: str, level: str) -> None:
    assert doctor_server.check_api(API, httpx.Response(200, json=version)).level == level


def test_another_web_server_is_not_taken_for_prefect() -> None:
    finding = doctor_server.check_api(API, httpx.Response(404, text="<html>"))
    assert finding.level == "problem"
    assert "not a Prefect API" in finding.found


def test_a_refused_auth_string_is_a_problem_and_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, lambda request: httpx.Response(401))
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:hunter2"}):
        findings = doctor_server.check_server("http://me:hunter2@127.0.0.1:4200/api")
    assert by_check(findings)["prefect api"].level == "problem"
    assert "PREFECT_API_AUTH_STRING" in by_check(findings)["prefect api"].todo
    assert "hunter2" not in str(findings)


def test_the_clients_own_secrets_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_settings({PREFECT_API_AUTH_STRING: "admin:pass"}):
        assert doctor_server._auth_headers() == {"Authorization": "Basic YWRtaW46cGFzcw=="}
    with temporary_settings({PREFECT_API_KEY: "pnu_x"}, restore_defaults={PREFECT_API_AUTH_STRING}):
        assert doctor_server._auth_headers() == {"Authorization": "Bearer pnu_x"}
    with temporary_settings(restore_defaults={PREFECT_API_AUTH_STRING, PREFECT_API_KEY}):
        assert doctor_server._auth_headers() == {}


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (503, "problem")])
def test_a_server_without_its_database_is_a_problem(status: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, a_server(ready=status))
    assert doctor_server.check_database(API).level == level


def test_a_database_that_hangs_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    answers(monkeypatch, hang)
    assert doctor_server.check_database(API).level == "problem"
    assert doctor_server.check_exposure(API).level == "warning"


@pytest.mark.parametrize(("skew", "level"), [(0, "ok"), (25, "ok"), (-40, "warning"), (4000, "warning")])
def test_clocks_that_differ_are_a_warning(skew: float, level: str) -> None:
    assert doctor_server.check_clock(email.utils.formatdate(1e9, usegmt=True), 1e9 + skew).level == level


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_without_a_clock_is_left_alone(date: str | None) -> None:
    assert doctor_server.check_clock(date, 0.0).level == "ok"


# --- exposure ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "bound", "secret", "level"),
    [
        (API, "127.0.0.1", "", "ok"),
        ("http://localhost:4200/api", "localhost", "", "ok"),
        ("http://[::1]:4200/api", "::1", "", "ok"),
        (API, "0.0.0.0", "", "problem"),
        ("http://192.168.1.5:4200/api", "192.168.1.5", "", "problem"),
        ("http://songs.example.org/api", "127.0.0.1", "", "problem"),
        (API, "0.0.0.0", "set", "ok"),
        ("http://192.168.1.5:4200/api", "0.0.0.0", "set", "warning"),
        ("https://songs.example.org/api", "0.0.0.0", "set", "ok"),
    ],
)
def test_an_api_that_others_reach_without_a_secret_is_a_problem(
    url: str, bound: str, secret: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, a_server(host=bound, secret=secret))
    finding = doctor_server.check_exposure(url)
    assert finding.level == level
    if level == "problem":
        assert "PREFECT_SERVER_API_AUTH_STRING" in finding.todo


def test_an_api_that_any_page_in_a_browser_reaches_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, a_server(stock=True))
    finding = doctor_server.check_exposure(API)
    assert finding.level == "warning"
    assert "web page" in finding.found
    assert "performia serve" in finding.todo
    answers(monkeypatch, a_server(stock=True, secret="set"))
    assert doctor_server.check_exposure(API).level == "ok"


def test_settings_of_another_shape_are_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, lambda request: httpx.Response(403 if request.headers["host"] == "elsewhere.invalid" else 200, json=[]))
    assert doctor_server.check_exposure(API).level == "ok"


# --- what setup makes --------------------------------------------------------------------------------------------------------------------


def a_limit(name: str, limit: int = 2, active: bool = True) -> Any:
    return SimpleNamespace(name=name, limit=limit, active=active, active_slots=1)


def test_limits_are_there_open_and_have_slots() -> None:
    limits = [a_limit("gpu"), a_limit("cpu-heavy", limit=0), a_limit("memory-heavy", active=False), a_limit("somebody-elses", limit=0)]
    client = SimpleNamespace(read_global_concurrency_limits=lambda limit: limits)
    found = by_check(doctor_server.check_limits(client))
    assert found["limit gpu"] == Finding("limit gpu", "ok", "1 of 2 in use")
    assert found["limit cpu-heavy"].level == "problem"
    assert found["limit memory-heavy"].level == "warning"
    assert found["limit network"].todo == "Run `performia setup`"
    assert len(found) == 4


def pool_client(pool: Any, workers: tuple[str, ...] = ()) -> Any:
    from prefect.exceptions import ObjectNotFound

    def read(name: str) -> Any:
        if pool is None:
            raise ObjectNotFound(Exception())
        return pool

    online = [SimpleNamespace(name=f"worker {number}", status=status) for number, status in enumerate(workers)]
    return SimpleNamespace(read_work_pool=read, read_workers_for_work_pool=lambda name: online)


def test_the_work_pool_and_its_workers() -> None:
    pool = SimpleNamespace(is_paused=False, type="process")
    assert doctor_server.check_pool(pool_client(None)).level == "warning"
    assert doctor_server.check_pool(pool_client(SimpleNamespace(is_paused=True, type="process"))).level == "warning"
    found = doctor_server.check_pool(pool_client(pool, ("ONLINE", "OFFLINE", "ONLINE")))
    assert (found.level, found.found) == ("ok", "performia (process), 2 workers online")


def test_the_automation_against_dead_runs() -> None:
    def client(*automations: tuple[str, bool]) -> Any:
        return SimpleNamespace(read_automations=lambda: [SimpleNamespace(name=name, enabled=on) for name, on in automations])

    assert doctor_server.check_automation(client()).level == "warning"
    assert doctor_server.check_automation(client(("Somebody's", True))).level == "warning"
    assert doctor_server.check_automation(client(("Performia: end runs", False))).level == "warning"
    assert doctor_server.check_automation(client(("Performia: end runs", True))).level == "ok"


def a_deployment(name: str, paused: bool = False, polled_sec_ago: float | None = 5, status: str = "NOT_READY") -> Any:
    polled = None if polled_sec_ago is None else NOW - datetime.timedelta(seconds=polled_sec_ago)
    return SimpleNamespace(name=name, paused=paused, last_polled=polled, status=status)


def deployments_found(*deployments: Any) -> dict[str, Finding]:
    client = SimpleNamespace(read_deployments=lambda flow_filter: list(deployments))
    return by_check(doctor_server.check_deployments(client, NOW))


def test_deployments_that_somebody_runs_are_good() -> None:
    found = deployments_found(*[a_deployment(definition.name) for definition in DEFINITIONS])
    assert {name: finding.level for name, finding in found.items()} == {"deployments": "ok", "service": "ok"}
    ready = deployments_found(*[a_deployment(definition.name, False, None, "READY") for definition in DEFINITIONS])
    assert ready["service"].level == "ok"


def test_deployments_that_nobody_runs_are_a_problem() -> None:
    found = deployments_found(*[a_deployment(definition.name, polled_sec_ago=3600) for definition in DEFINITIONS])
    assert found["service"].level == "problem"
    assert "performia serve" in found["service"].todo


def test_missing_and_paused_deployments_are_named() -> None:
    found = deployments_found(a_deployment("analyze-song", paused=True), a_deployment("watch-folder"))
    assert found["deployments"].found == "missing: analyze-folder, prune"
    assert found["schedules"].found == "paused: analyze-song"
    assert deployments_found()["deployments"].level == "warning"


@pytest.mark.parametrize(("count", "level"), [(0, "ok"), (3, "warning")])
def test_runs_that_wait_for_ever_are_a_warning(count: int, level: str) -> None:
    client = SimpleNamespace(count_flow_runs=lambda flow_filter, flow_run_filter: count)
    assert doctor_server.check_late(client).level == level


def test_a_server_that_dies_meanwhile_is_not_asked_on() -> None:
    (finding,) = doctor_server._inside("http://127.0.0.1:9/api")
    assert (finding.level, finding.found) == ("problem", "the server does not answer any more (ConnectError)")


def test_a_check_that_the_server_does_not_know_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(client: Any, *args: Any) -> Finding:
        raise ValueError("no such route")

    for name in ("check_limits", "check_pool", "check_automation", "check_deployments", "check_late"):
        monkeypatch.setattr(doctor_server, name, fail)
    findings = doctor_server._inside("http://127.0.0.1:9/api")
    assert [finding.level for finding in findings] == ["warning"] * 5


# --- the command -------------------------------------------------------------------------------------------------------------------------

GOOD, ODD, BAD = Finding("a", "ok", "fine"), Finding("b", "warning", "odd [x]", "Look"), Finding("c", "problem", "broken", "Mend it")


@pytest.mark.parametrize(("findings", "code"), [([GOOD], 0), ([GOOD, ODD], 0), ([GOOD, BAD, ODD], 1)])
def test_the_exit_code_says_whether_something_must_be_done(
    findings: list[Finding], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "examine", lambda: findings)
    assert doctor(as_json=False) == code
    assert "fine" in capsys.readouterr().out
    assert doctor(as_json=True) == code
    assert [entry["check"] for entry in json.loads(capsys.readouterr().out)] == [finding.check for finding in findings]


def test_what_to_do_is_listed_the_problems_first() -> None:
    console = Console(file=io.StringIO(), width=120)
    show(console, [GOOD, ODD, BAD])
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.index("Mend it.") < text.index("Look.")
    assert "odd [x]" in text
    assert "1 ok, 1 warnings, 1 problems" in text


def test_without_a_server_a_fresh_installation_has_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        found = by_check(examine())
    assert found["prefect api"].found == "none configured: commands start their own"
    assert found["packages"].level == "ok"
    assert "engine of beats_key" in found


def test_wrong_settings_are_named_without_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFORMIA_THREADS", "hunter2")
    reset_settings()
    (finding,) = examine()
    assert (finding.level, finding.found) == ("problem", "Not understood: PERFORMIA_THREADS")
    assert "hunter2" not in str(finding)


def test_a_check_that_hangs_or_fails_is_a_finding_too() -> None:
    forever = threading.Event()

    def fail() -> Finding:
        raise ValueError("oops")

    found = in_time([("good", lambda: GOOD), ("slow", forever.wait), ("bad", fail), ("many", lambda: [ODD, BAD])], 0.3)
    assert not forever.is_set()  # nobody has waited for it
    forever.set()
    assert [(finding.check, finding.level) for finding in found] == [
        ("a", "ok"),
        ("slow", "problem"),
        ("bad", "problem"),
        ("b", "warning"),
        ("c", "problem"),
    ]
    assert "ValueError: oops" in found[2].found


def test_the_folders_of_a_running_service_are_looked_at(data_dir: Path, tmp_path: Path) -> None:
    from deployments.server import discovery

    data_dir.mkdir()
    told = {"api_url": "http://127.0.0.1:1/api", "pid": 1, "inbox": str(tmp_path / "in"), "songs": str(tmp_path / "out")}
    discovery.serving_file().write_text(json.dumps(told))
    assert discovery.served_folders() == {}  # it is dead
    with FileLock(data_dir / "serve.lock"):
        assert discovery.served_folders() == {"inbox_dir": tmp_path / "in", "output_dir": tmp_path / "out"}
        discovery.serving_file().write_text('{"api_url": "http://127.0.0.1:1/api"}')
        assert discovery.served_folders() == {}
