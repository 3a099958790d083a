"""Prefect shells of the melody and bass steps."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import Part, SongSource, StemSet
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY
from tasks.common.step import StepContext
from tasks.melody_bass import track_notes as engine


@step(
    "melody",
    version=4,
    needs=[CPU_HEAVY],
    engines=engine.ENGINES,
    retries=1,  # memory may be free again
    retry_delay_sec=5,
    time_limit_sec=3600,
)
def track_melody(ctx: StepContext, plan: StepPlan, source: SongSource, stems: StemSet) -> Part:
    """Track the sung melody on the vocal stem."""
    return engine.track_melody(source, stems, plan, ctx)


@step(
    "bass",
    version=2,
    needs=[CPU_HEAVY],
    engines=engine.ENGINES,
    retries=1,  # memory may be free again
    retry_delay_sec=5,
    time_limit_sec=3600,
)
def track_bass(ctx: StepContext, plan: StepPlan, source: SongSource, stems: StemSet) -> Part:
    """Track the bass line on the bass stem."""
    return engine.track_bass(source, stems, plan, ctx)
