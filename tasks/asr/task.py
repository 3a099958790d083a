"""Prefect shell of the lyrics step."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import Lyrics, SongSource, StemSet
from tasks.asr import transcribe as engine
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext


@step(
    "asr",
    version=4,
    needs=[GPU, CPU_HEAVY],
    engines=engine.ENGINES,
    retries=2,  # memory may be free again, a download may go through
    retry_delay_sec=[5, 30],
    time_limit_sec=4 * 3600,
)
def transcribe_lyrics(ctx: StepContext, plan: StepPlan, source: SongSource, stems: StemSet | None) -> Lyrics:
    """Transcribe the sung words. Works on the mix alone where separation failed."""
    return engine.transcribe_lyrics(source, stems, plan, ctx)
