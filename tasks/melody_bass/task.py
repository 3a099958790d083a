"""Prefect shells of the melody and bass steps."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import Part, SongSource, StemSet
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, is_transient, running
from tasks.common.resources import CPU_HEAVY
from tasks.melody_bass import track as engine


@task(
    name="track_melody",
    cache_policy=StepCache(step="melody", version=2),
    result_serializer="json",
    retries=1,  # memory may be free again
    retry_delay_seconds=5,
    retry_condition_fn=is_transient,
    tags=[CPU_HEAVY],
    timeout_seconds=3600,
    on_completion=[announce],
    on_failure=[announce],
)
def track_melody(plan: StepPlan, source: SongSource, stems: StemSet) -> Part:
    """Track the sung melody on the vocal stem."""
    with running("melody") as ctx:
        return engine.track_melody(source, stems, plan, ctx)


@task(
    name="track_bass",
    cache_policy=StepCache(step="bass", version=1),
    result_serializer="json",
    retries=1,  # memory may be free again
    retry_delay_seconds=5,
    retry_condition_fn=is_transient,
    tags=[CPU_HEAVY],
    timeout_seconds=3600,
    on_completion=[announce],
    on_failure=[announce],
)
def track_bass(plan: StepPlan, source: SongSource, stems: StemSet) -> Part:
    """Track the bass line on the bass stem."""
    with running("bass") as ctx:
        return engine.track_bass(source, stems, plan, ctx)
