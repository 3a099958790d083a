"""Prefect shells of the lyrics step, and of that which places given lyrics."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import AlignedLyrics, Lyrics, SongSource, StemSet
from tasks.asr import align, transcribe
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext


@step(
    "asr",
    version=4,
    needs=[GPU, CPU_HEAVY],
    engines=transcribe.ENGINES,
    retries=2,  # memory may be free again, a download may go through
    retry_delay_sec=[5, 30],
    time_limit_sec=4 * 3600,
)
def transcribe_lyrics(ctx: StepContext, plan: StepPlan, source: SongSource, stems: StemSet | None) -> Lyrics:
    """Transcribe the sung words. Works on the mix alone where separation failed."""
    return transcribe.transcribe_lyrics(source, stems, plan, ctx)


@step(
    "align",
    version=1,
    needs=[GPU, CPU_HEAVY],
    engines=align.ENGINES,
    retries=2,  # memory may be free again
    retry_delay_sec=[5, 30],
    time_limit_sec=2 * 3600,
)
def align_lyrics(ctx: StepContext, plan: StepPlan, text: str, source: SongSource, heard: Lyrics, stems: StemSet | None) -> AlignedLyrics:
    """Place the words that somebody gave where they are sung. plan: that of the lyrics step, whose model says where."""
    return align.align_lyrics(text, source, heard, stems, plan, ctx)
