"""Prefect shell of the structure step."""

from __future__ import annotations

from prefect import task

from schemas.plan import StepPlan
from schemas.results import BeatsKey, Chords, Lyrics, SongSource, StemSet, Structure
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, given, is_transient, running
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.structure import detect as engine


@task(
    name="detect_structure",
    cache_policy=StepCache(step="structure", version=2),
    result_serializer="json",
    retries=1,  # memory may be free again
    retry_delay_seconds=5,
    retry_condition_fn=is_transient,
    tags=[GPU, CPU_HEAVY],
    timeout_seconds=3600,
    on_completion=[announce],
    on_failure=[announce],
)
def detect_structure(
    plan: StepPlan,
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | Exception | None,
    chords: Chords | Exception | None,
    lyrics: Lyrics | Exception | None,
) -> Structure:
    """Divide the song into labelled sections, boundaries on downbeats. What is missing of stems, chords and lyrics is done without."""
    with running("structure") as ctx:
        return engine.detect_structure(source, beats, given(stems), given(chords), given(lyrics), plan, ctx)
