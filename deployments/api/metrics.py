"""The figures that Prometheus scrapes, all asked of Prefect's server and the disk, so that every process of the API says the same."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deployments.api.desk import Desk
from schemas.api.jobs import JobState
from schemas.steps import STEPS
from tasks.common.settings import Settings, is_remote, local_path

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: The steps of so many runs are counted.
_RUNS: Final = 20
#: To walk through a large store takes seconds.
_BYTES_SEC: Final = 300.0

_bytes_known: dict[str, tuple[float, int]] = {}


async def metrics_text(desk: Desk, settings: Settings) -> str:
    """Prometheus's text format 0.0.4."""
    by_state = await asyncio.gather(*(desk.runs.count_state(state) for state in JobState))
    steps = await desk.runs.last_steps(_RUNS)
    seconds: dict[str, list[float]] = defaultdict(list)
    cached: dict[str, int] = defaultdict(int)
    for name, computing, from_cache in steps:
        cached[name] += from_cache
        if not from_cache:
            seconds[name].append(computing)
    stored = {name: await asyncio.to_thread(_bytes_in, folder) for name, folder in _folders(settings).items()}
    return "".join(
        (
            *_family("performia_jobs", "gauge", "Jobs by state.", {f'state="{s}"': n for s, n in zip(JobState, by_state, strict=True)}),
            *_family(
                "performia_step_seconds",
                "gauge",
                f"Mean seconds of a step that was computed, in the last {_RUNS} jobs that ended with a map.",
                {f'step="{name}"': sum(took) / len(took) for name in STEPS if (took := seconds[name])},
            ),
            *_family(
                "performia_steps_computed",
                "gauge",
                f"Steps that were computed, in the last {_RUNS} jobs that ended with a map.",
                {f'step="{name}"': len(seconds[name]) for name in STEPS},
            ),
            *_family(
                "performia_steps_cached",
                "gauge",
                f"Steps that came from the cache, in the last {_RUNS} jobs that ended with a map.",
                {f'step="{name}"': cached[name] for name in STEPS},
            ),
            *_family("performia_stored_bytes", "gauge", "Bytes on the disk.", {f'where="{name}"': size for name, size in stored.items()}),
        )
    )


def _family(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value:.12g}\n"


def _folders(settings: Settings) -> dict[str, Path]:
    """The folders of this installation that lie on a disk."""
    folders = {"songs": settings.songs_dir, "uploads": settings.uploads, "results": settings.results_dir}
    if not is_remote(settings.artifacts_url):
        folders["artifacts"] = Path(local_path(settings.artifacts_url))
    return folders


def _bytes_in(folder: Path) -> int:
    """The bytes of the files below a folder, as they were some minutes ago."""
    known = _bytes_known.get(str(folder))
    if known is None or time.monotonic() - known[0] > _BYTES_SEC:
        size = 0
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    size += os.lstat(os.path.join(place, name)).st_size
                except OSError:
                    continue
        known = _bytes_known[str(folder)] = (time.monotonic(), size)
    return known[1]
