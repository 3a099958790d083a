"""The deployments, said once: `performia serve` serves them; `prefect.yaml` is written from them (`python -m deployments.prefect_yaml`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: The process pool that `performia setup` makes and `prefect deploy` uses.
WORK_POOL: Final = "performia"
#: Each run of the watch stays until shortly before the next one.
WATCH_INTERVAL_SEC: Final = 3600
#: Every night when nobody analyses.
PRUNE_CRON: Final = "30 4 * * *"


@dataclass(frozen=True)
class Definition:
    """One deployment. flow: the module and name of its flow, found wherever the package is installed."""

    name: str
    flow: str
    description: str
    concurrency_limit: int
    collision_strategy: str
    tags: tuple[str, ...] = ("performia",)
    parameters: dict[str, Any] = field(default_factory=dict)
    interval_sec: float | None = None
    cron: str | None = None


DEFINITIONS: Final = (
    Definition(
        "analyze-song",
        "flows.song_analysis.analyze_song",
        "Analyse one song: fill in the path of an audio file in the inbox, or in a folder that PERFORMIA_INPUT_ROOTS names. "
        "Out come a Song Map and the stems.",
        concurrency_limit=2,
        collision_strategy="ENQUEUE",
    ),
    Definition(
        "analyze-folder",
        "flows.folder_analysis.flow.analyze_folder",
        "Analyse every song of a folder in one process, several at a time, and write a manifest. "
        "A second run goes on where the first stopped.",
        concurrency_limit=1,
        collision_strategy="ENQUEUE",
    ),
    Definition(
        "watch-folder",
        "flows.folder_watch.flow.watch_folder",
        "Watch the inbox: songs that have settled are analysed once each; what fails three times is moved to `failed`. "
        "One run at a time stays for an hour; while it does, another one is cancelled.",
        concurrency_limit=1,
        collision_strategy="CANCEL_NEW",
        interval_sec=WATCH_INTERVAL_SEC,
        parameters={"stay_sec": WATCH_INTERVAL_SEC},
    ),
    Definition(
        "prune",
        "flows.retention.flow.prune",
        "Delete run records, cached results and audio that nothing has used for a week. Song Maps are kept, and what they refer to.",
        concurrency_limit=1,
        collision_strategy="CANCEL_NEW",
        cron=PRUNE_CRON,
    ),
)
