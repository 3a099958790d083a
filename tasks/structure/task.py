"""Prefect shell of the structure step."""

from __future__ import annotations

from schemas.plan import StepPlan
from schemas.results import BeatsKey, Chords, Lyrics, SongSource, StemSet, Structure
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext
from tasks.structure import detect as engine


@step(
    "structure",
    version=4,
    needs=[GPU, CPU_HEAVY],
    engines=engine.ENGINES,
    retries=1,  # memory may be free again
    retry_delay_sec=5,
    time_limit_sec=3600,
)
def detect_structure(
    ctx: StepContext,
    plan: StepPlan,
    source: SongSource,
    beats: BeatsKey,
    stems: StemSet | None,
    chords: Chords | None,
    lyrics: Lyrics | None,
) -> Structure:
    """Divide the song into labelled sections, boundaries on downbeats. What is missing of stems, chords and lyrics is done without."""
    return engine.detect_structure(source, beats, stems, chords, lyrics, plan, ctx)
