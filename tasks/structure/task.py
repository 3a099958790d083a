"""Prefect shell of the structure step."""

from __future__ import annotations

from schemas.corrections import GridCorrections
from schemas.plan import StepPlan
from schemas.results import BeatsKey, Chords, Lyrics, SongSource, StemSet, Structure
from tasks.common.orchestration.step_task import step
from tasks.common.resources import CPU_HEAVY, GPU
from tasks.common.step import StepContext
from tasks.corrections.grid import grid_for_step
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
    corrections: GridCorrections | None = None,
) -> Structure:
    """Divide the song into labelled sections, boundaries on downbeats. What is missing of stems, chords and lyrics is done without.

    corrections: of the beats and keys, by persons; the sections are those of the corrected ones.
    """
    beats = grid_for_step(beats, corrections, source.duration_sec)
    return engine.detect_structure(source, beats, stems, chords, lyrics, plan, ctx)
