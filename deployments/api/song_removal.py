"""Removing a song: its folders below the output folder, and the audio in the artifact store that nobody else refers to.

Audio that an analysis has used since it began stays, and goes with the prune once it is old; so does all of it where Prefect's
server does not say what is going on.
"""

from __future__ import annotations

import logging
import time

from deployments.api.library.library import Library
from flows.retention.run_records import oldest_current_run
from flows.retention.song import delete_audio, delete_song_folder
from tasks.common.errors import ApiUnreachable, PerformiaError
from tasks.common.settings import Settings
from tasks.common.storage.artifacts import ArtifactStore

logger = logging.getLogger(__name__)

_ANALYSES = ("analyze-song", "analyze-folder", "evaluate-song")


def remove_song(library: Library, settings: Settings, song_id: str) -> int:
    """Remove every folder that holds the map of a song; return how many there were. Raises StorageError."""
    folders = library.folders_of(song_id)
    audio = library.index.audio_of(song_id)
    others = library.index.audio_named_besides(song_id, audio) if library.complete else audio
    for folder in folders:
        delete_song_folder(folder)
    library.refresh()
    _remove_audio(settings, audio - others)
    return len(folders)


def _remove_audio(settings: Settings, hashes: set[str]) -> None:
    """Best effort: what cannot go now goes with a prune."""
    if not hashes:
        return
    try:
        delete_audio(ArtifactStore(settings.artifacts_url, settings.scratch_dir), sorted(hashes), _unused_since())
    except (PerformiaError, OSError):
        logger.warning("Audio of a removed song is left to a prune", exc_info=True)


def _unused_since() -> float:
    """Since when nothing that is going on can have used what was not used (seconds since the epoch). Raises ApiUnreachable."""
    from prefect.client.orchestration import get_client

    asked = time.time()
    try:
        with get_client(sync_client=True) as client:
            current = oldest_current_run(client, flows=_ANALYSES)
    except ApiUnreachable:
        raise
    except Exception as error:
        raise ApiUnreachable("The Prefect server does not answer") from error
    return asked if current is None else min(asked, current.start)
