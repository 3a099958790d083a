"""`python -m tests.performance.bench`: how long things take on this machine, measured side by side, and compared with an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from deployments.terminal import error_console
from tasks.common.resources import hardware
from tasks.common.settings import get_settings
from tasks.ingest.checks import refuse_early
from tests.performance.bench import comparison, document
from tests.performance.bench.request import Request


class Part(StrEnum):
    """The parts by name; each but `all` is a module with `measure` and `report`."""

    song = "song"
    startup = "startup"
    prefect = "prefect"
    kernels = "kernels"
    profile = "profile"
    batch = "batch"
    growth = "growth"
    race = "race"
    all = "all"


DEFAULT: Final = (Part.song, Part.startup, Part.prefect, Part.kernels)
_MODULES: Final[dict[Part, str]] = {part: f"{__package__}.{part}" for part in Part if part is not Part.all}


@dataclass(frozen=True)
class BenchOptions:
    """parts: those of DEFAULT where empty. output: where the figures go as JSON. against: figures of an earlier run; None: those that are
    overwritten.
    """

    parts: Sequence[Part] = ()
    output: Path | None = None
    against: Path | None = None


def bench(options: BenchOptions, request: Request) -> int:
    """Measure the parts, print the tables, write the figures; 0. Raises AudioError, BenchmarkFailed, OptionInvalid.

    What is measured is written down part by part: what is interrupted loses the part under way.
    """
    for song in request.songs:
        refuse_early(song, get_settings())
    parts = chosen(options.parts)
    modules = {part: import_module(_MODULES[part]) for part in parts}
    for module in modules.values():
        getattr(module, "refuse", _accept)(request)
    before = document.read(options.output)
    earlier = document.read(options.against) if options.against else before
    print(", ".join(f"{name} {value}" for name, value in hardware().items()))
    measured: dict[str, Any] = {}
    for part, module in modules.items():
        measured[part.value] = figures = document.stamped(module.measure(request))
        print(f"\n## {part}\n\n{module.report(figures)}", flush=True)
        if options.output:
            document.write(options.output, document.merged(before, measured))
    if compared := comparison.report(earlier, {"parts": measured}):
        print(f"\n{compared}")
    return 0


def chosen(parts: Sequence[Part]) -> list[Part]:
    """In the order of Part, which is from what takes seconds to what takes an hour."""
    wanted = set(parts or DEFAULT)
    return [part for part in _MODULES if part in wanted or Part.all in wanted]


def reporter() -> Callable[[str], None]:
    """Says on standard error what is being measured."""
    console = error_console()
    return lambda stage: console.print(f"[dim]{escape(stage)}", soft_wrap=True)


def _accept(_: Request) -> None:
    """Of parts that can always be measured."""
