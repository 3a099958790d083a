"""Prefect shell of the beats and key step."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import BeatsKey, SongSource, StemSet
from tasks.beats_key import track as engine
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, given, is_transient, running
from tasks.common.resources import CPU_HEAVY


@task(
    name="track_beats_and_key",
    cache_policy=StepCache(step="beats_key", version=3),
    result_serializer="json",
    retries=1,  # memory may be free again
    retry_delay_seconds=5,
    retry_condition_fn=is_transient,
    tags=[CPU_HEAVY],
    timeout_seconds=3600,
    on_completion=[announce],
    on_failure=[announce],
)
def track_beats_and_key(plan: StepPlan, source: SongSource, stems: StemSet | Exception | None) -> BeatsKey:
    """Track beats, downbeats, tempo, meter and key. Works on the mix alone where separation failed."""
    with running("beats_key") as ctx:
        return engine.track_beats_and_key(source, given(stems), plan, ctx)
