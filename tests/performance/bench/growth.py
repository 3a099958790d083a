"""How time and memory grow with the length of a recording: the steps as plain functions on 1 to 60 minutes of the same music.

The exponent of a step is the slope of log seconds over log length between the two longest recordings: what is constant (loading a model)
weighs little there. 1 is linear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.performance.bench.kernels import run_kernels
from tests.performance.bench.processes import new_place, surroundings
from tests.performance.bench.recordings import repeat
from tests.performance.bench.request import Request
from tests.performance.bench.tables import table

Rows = Mapping[str, Mapping[str, Any]]


def measure(request: Request) -> dict[str, Any]:
    """{"rows": {"10 min": {"minutes", "steps_sec", "all_sec", "peak_mib"}}, "exponents": {step: exponent}}. Raises BenchmarkFailed."""
    rows = {f"{minutes:g} min": _one(request, minutes) for minutes in sorted(set(request.minutes))}
    return {"song": request.song.stem, "rows": rows, "exponents": exponents(list(rows.values()))}


def _one(request: Request, minutes: float) -> dict[str, Any]:
    """Seconds of every step, and the peak memory, of so many minutes."""
    request.tell(f"growth: {minutes:g} minutes")
    with new_place() as place:
        recording = place / "recording.flac"
        repeat(request.song, recording, minutes)
        # Longer recordings than one is asked to analyse are wanted here.
        environment = {**surroundings(place), "PERFORMIA_MAX_DURATION_SEC": str(60 * minutes + 60)}
        figures = run_kernels(recording, request.words, environment)
    steps = figures["cold_sec"]
    return {"minutes": minutes, "steps_sec": steps, "all_sec": round(sum(steps.values()), 2), "peak_mib": figures["peak_mib"]}


def exponents(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of every step and of all together, from the two longest recordings; empty where there is one. A step of no time has none."""
    if len(rows) < 2:
        return {}
    shorter, longer = rows[-2:]
    longer_by = math.log(longer["minutes"] / shorter["minutes"])
    before, after = ({**row["steps_sec"], "all": row["all_sec"]} for row in (shorter, longer))
    both = [step for step in after if before.get(step) and after[step]]
    return {step: round(math.log(after[step] / before[step]) / longer_by, 3) for step in both}


def report(figures: Mapping[str, Any]) -> str:
    rows, found = figures["rows"], figures["exponents"]
    steps = list(dict.fromkeys(step for row in rows.values() for step in row["steps_sec"]))
    lines: list[list[Any]] = [
        [f"{row['minutes']:g}", row["all_sec"], *(row["steps_sec"].get(step) for step in steps), row["peak_mib"]] for row in rows.values()
    ]
    lines.append(["exponent", found.get("all"), *(found.get(step) for step in steps), None])
    return table(("minutes", "all s", *steps, "peak MiB"), lines)
