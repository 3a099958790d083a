"""Prefect shell of the separation step."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import SongSource, StemSet
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU, MEMORY_HEAVY
from tasks.common.step import StepContext
from tasks.separation import separate as engine


@step(
    "separation",
    version=1,
    needs=[GPU, CPU_HEAVY, MEMORY_HEAVY],
    engines=engine.ENGINES,
    retries=2,  # memory may be free again, a download may go through
    retry_delay_sec=[5, 30],
    time_limit_sec=4 * 3600,
)
def separate_stems(ctx: StepContext, plan: StepPlan, source: SongSource) -> StemSet:
    """Split the mix into four stems that sum to it, and make the karaoke mix."""
    return engine.separate_song(source, plan, ctx)
