"""Prefect shell of the ingest step."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from schemas.results import SongSource
from tasks.common.orchestration.caching import StepCache
from tasks.common.orchestration.running import announce, is_transient, running
from tasks.ingest import ingest as engine


@task(
    name="ingest",
    cache_policy=StepCache(step="ingest", version=engine.VERSION),
    result_serializer="json",
    retries=1,  # only for the disk: bad input stays bad
    retry_delay_seconds=2,
    retry_condition_fn=is_transient,
    timeout_seconds=600,
    on_completion=[announce],
    on_failure=[announce],
)
def ingest_song(song: Path, identity: str) -> SongSource:
    """Decode the song to 44.1 kHz stereo. `identity` is the SHA-256 of the file's bytes and stands for it in the cache key."""
    with running("ingest") as ctx:
        return engine.ingest_song(song, ctx, identity)
