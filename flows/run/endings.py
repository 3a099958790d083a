"""How a run is named and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect.runtime import flow_run
from prefect.states import Completed

from schemas.options import AnalysisOptions
from schemas.plan import AnalysisPlan
from schemas.song_map import SongMap
from tasks.common.errors import StrictRunFailed


def flow_run_name() -> str:
    """The song's file name, so that a person finds the run in the UI."""
    parameters = flow_run.parameters or {}
    return Path(str(parameters.get("song", "song"))).name


def refuse_if_strict(plan: AnalysisPlan, options: AnalysisOptions) -> None:
    """With `strict`, fail before anything heavy if the plan already falls back. Raises StrictRunFailed."""
    reasons = [f"{name}: {reason}" for name, step in plan if step is not None for reason in step.degraded_because]
    if options.strict and reasons:
        raise StrictRunFailed(f"The best engines cannot be used ({'; '.join(reasons)})")


def run_state(song_map: SongMap, options: AnalysisOptions) -> Any:
    """The Song Map, or a state named Partial that carries it where a step failed. With `strict`, raises StrictRunFailed instead."""
    if not isinstance(song_map, SongMap):  # Prefect is drawing the graph: nothing has run
        return song_map
    lacking = [f"{name} {step.status}" for name, step in song_map.steps if step.status not in ("ok", "cached")]
    if options.strict and lacking:
        raise StrictRunFailed(f"The Song Map is written, but not every step did its best: {', '.join(lacking)}")
    if song_map.status == "partial":
        return Completed(name="Partial", message=f"Without: {', '.join(lacking)}", data=song_map)
    return song_map
