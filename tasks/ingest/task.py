"""Prefect shell of the ingest step."""

from __future__ import annotations

from pathlib import Path

from schemas.options import Reading
from schemas.results import SongSource
from tasks.common.orchestration.step_task import step
from tasks.common.step import StepContext
from tasks.ingest import ingest as engine
from tasks.ingest.head_start import head_start_of


@step(
    "ingest",
    version=engine.VERSION,
    retries=1,  # only for the disk: bad input stays bad
    retry_delay_sec=2,
    time_limit_sec=600,
    here=True,
)
def ingest_song(ctx: StepContext, song: Path, identity: str, track: int | None = None, accept_damaged: bool = False) -> SongSource:
    """Decode the song to 44.1 kHz stereo. `identity` is the SHA-256 of the file's bytes and stands for it in the cache key."""
    return engine.ingest_song(song, ctx, identity, head_start_of(song), Reading(track=track, accept_damaged=accept_damaged))
