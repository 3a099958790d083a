"""Prefect shell of the chords step."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import BeatsKey, Chords, SongSource, StemSet
from tasks.chords import recognize as engine
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, given, is_transient, running
from tasks.common.resources import CPU_HEAVY, GPU


@task(
    name="recognize_chords",
    cache_policy=StepCache(step="chords", version=1),
    result_serializer="json",
    retries=1,  # memory may be free again
    retry_delay_seconds=5,
    retry_condition_fn=is_transient,
    tags=[GPU, CPU_HEAVY],
    timeout_seconds=3600,
    on_completion=[announce],
    on_failure=[announce],
)
def recognize_chords(plan: StepPlan, source: SongSource, stems: StemSet | Exception | None, beats: BeatsKey | Exception | None) -> Chords:
    """Recognise chords over a large vocabulary; without a beat grid they are not aligned."""
    with running("chords") as ctx:
        return engine.recognize_chords(source, given(stems), given(beats), plan, ctx)
