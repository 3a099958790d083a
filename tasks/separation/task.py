"""Prefect shell of the separation step."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import SongSource, StemSet
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, is_transient, running
from tasks.common.resources import CPU_HEAVY, GPU, MEMORY_HEAVY
from tasks.separation import separate as engine


@task(
    name="separate",
    cache_policy=StepCache(step="separation", version=1),
    result_serializer="json",
    retries=2,  # memory may be free again, a download may go through
    retry_delay_seconds=[5, 30],
    retry_condition_fn=is_transient,
    tags=[GPU, CPU_HEAVY, MEMORY_HEAVY],
    timeout_seconds=4 * 3600,
    on_completion=[announce],
    on_failure=[announce],
)
def separate_stems(plan: StepPlan, source: SongSource) -> StemSet:
    """Split the mix into four stems that sum to it, and make the karaoke mix."""
    with running("separation") as ctx:
        return engine.separate_song(source, plan, ctx)
