"""How long a person waits for nothing: the import of the package, and the command's help."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from tests.performance.bench.processes import median_sec
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

_TIMES: Final = 5
_COMMANDS: Final = {
    "import_flows_sec": ("import flows", ("-c", "import flows")),
    "help_sec": ("performia --help", ("-m", "deployments.cli.main", "--help")),
}


def measure(request: Request) -> dict[str, Any]:
    """Medians of five new processes each; Python's own start is in them. Raises BenchmarkFailed."""
    request.tell("startup: import flows, performia --help")
    figures = {name: median_sec(what, [sys.executable, *words], _TIMES) for name, (what, words) in _COMMANDS.items()}
    return {"processes": _TIMES, **figures}


def report(figures: Mapping[str, Any]) -> str:
    return table(("start-up", "s"), [(what, figures[name]) for name, (what, _) in _COMMANDS.items()])
