"""Prefect shell of the lyrics step."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import Lyrics, SongSource, StemSet
from tasks.asr import transcribe as engine
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, given, is_transient, running
from tasks.common.resources import CPU_HEAVY, GPU


@task(
    name="transcribe_lyrics",
    cache_policy=StepCache(step="asr", version=1),
    result_serializer="json",
    retries=2,  # memory may be free again, a download may go through
    retry_delay_seconds=[5, 30],
    retry_condition_fn=is_transient,
    tags=[GPU, CPU_HEAVY],
    timeout_seconds=4 * 3600,
    on_completion=[announce],
    on_failure=[announce],
)
def transcribe_lyrics(plan: StepPlan, source: SongSource, stems: StemSet | Exception | None) -> Lyrics:
    """Transcribe the sung words. Works on the mix alone where separation failed."""
    with running("asr") as ctx:
        return engine.transcribe_lyrics(source, given(stems), plan, ctx)
