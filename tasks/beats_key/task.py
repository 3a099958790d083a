"""Prefect shell of the beats and key step."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import BeatsKey, Chords, SongSource
from tasks.beats_key import track_beats as engine
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext


@step(
    "beats_key",
    version=5,
    needs=[GPU, CPU_HEAVY],
    engines=engine.ENGINES,
    retries=1,  # memory may be free again
    retry_delay_sec=5,
    time_limit_sec=3600,
)
def track_beats_and_key(ctx: StepContext, plan: StepPlan, source: SongSource, chords: Chords | None) -> BeatsKey:
    """Track beats, downbeats, tempo, meter and key. Works without chords where these failed."""
    return engine.track_beats_and_key(source, chords, plan, ctx)
