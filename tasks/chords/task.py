"""Prefect shell of the chords step."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import Chords, SongSource
from tasks.chords import recognize as engine
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext


@step(
    "chords",
    version=4,
    needs=[GPU, CPU_HEAVY],
    engines=engine.ENGINES,
    retries=1,  # memory may be free again
    retry_delay_sec=5,
    time_limit_sec=3600,
)
def recognize_chords(ctx: StepContext, plan: StepPlan, source: SongSource) -> Chords:
    """Recognise chords over a large vocabulary, where they are heard; `tasks.common.harmony` sets them on the beats."""
    return engine.recognize_chords(source, plan, ctx)
