"""`performia doctor`: look at everything an installation needs, and say what to do."""

from __future__ import annotations

import contextvars
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.checkup.machine import Finding, machine_checks
from deployments.server.discovery import served_folders, serving_url
from deployments.server.prefect_environment import quiet_prefect
from tasks.common.errors import SettingInvalid
from tasks.common.settings import get_settings

#: Nothing is waited for longer: a server or store that hangs is a finding too.
_PATIENCE_SEC: Final = 15.0
_COLOURS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(as_json: bool) -> int:
    """Print what was found and what to do, and return the exit code: 1 where something must be done, else 0."""
    quiet_prefect()
    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
    else:
        show(Console(width=None if sys.stdout.isatty() else 160, highlight=False), findings)
    sys.stdout.flush()
    return 1 if any(finding.level == "problem" for finding in findings) else 0


def examine() -> list[Finding]:
    """Every finding, in order; the checks run at once."""
    try:
        settings = get_settings()
    except SettingInvalid as error:
        return [Finding("settings", "problem", error.what, error.what_to_do)]
    settings = settings.model_copy(update=served_folders())  # what a running service was told, not what this shell would tell one
    return in_time([*machine_checks(settings), ("prefect api", _server)], _PATIENCE_SEC)


def in_time(checks: Iterable[tuple[str, Any]], patience_sec: float) -> list[Finding]:
    """Run the checks at once, each in a thread of its own that nobody waits for longer than this."""
    checks = list(checks)
    answers: dict[str, list[Finding]] = {}

    def run(name: str, check: Callable[[], Finding | list[Finding]]) -> None:
        try:
            found = check()
        except Exception as error:  # noqa: BLE001 (one check that fails must not hide the others)
            found = Finding(name, "problem", f"the check failed: {type(error).__name__}: {str(error)[:200]}", "Please report this")
        answers[name] = found if isinstance(found, list) else [found]

    # Each in a copy of this context: Prefect keeps its settings there.
    threads = [
        threading.Thread(target=contextvars.copy_context().run, args=(run, *item), name=f"check {item[0]}", daemon=True) for item in checks
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience_sec
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = [Finding("", "problem", f"no answer within {patience_sec:.0f} s", "See what it waits for: disk or network")]
    return [finding if finding.check else Finding(name, *_rest(finding)) for name, _ in checks for finding in answers.get(name, late)]


def show(console: Console, findings: list[Finding]) -> None:
    """A table of the findings, and what to do, the problems first."""
    table = Table("check", "", "found", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.check, f"[{_COLOURS[finding.level]}]{finding.level}[/]", escape(finding.found))
    console.print(table)
    for level in ("problem", "warning"):
        for finding in findings:
            if finding.level == level and finding.todo:
                console.print(f"[{_COLOURS[level]}]{level:<8}[/] {finding.check}: {escape(finding.todo)}.", soft_wrap=True)
    count = Counter(finding.level for finding in findings)
    console.print(f"{count['ok']} ok, {count['warning']} warnings, {count['problem']} problems", soft_wrap=True)


def _server() -> list[Finding]:
    """The server that is configured, or else the one that `performia serve` runs."""
    from prefect.settings import PREFECT_API_URL

    from deployments.checkup.server import check_server

    return check_server(PREFECT_API_URL.value() or serving_url())


def _rest(finding: Finding) -> tuple[Any, str, str]:
    return finding.level, finding.found, finding.todo
