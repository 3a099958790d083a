"""Deleting one song at once: its folder, and the audio that nothing else refers to.

What a prune deletes is old; this is what a person no longer wants. Of the folder goes what Performia writes; what somebody else put there
stays, and so do the folders of other songs below it. The map goes last: a deletion that broke off is finished by another one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from schemas.song_folder import CORRECTIONS_NAME, HEARD_CHORDS_NAME, INVALID_FOLDER, MACHINE_MAP_NAME, MAP_NAME, STEMS_FOLDER, TIMELINE_NAME
from tasks.common.errors import StorageError
from tasks.common.storage.artifacts import ArtifactStore
from tasks.export.files import delete_exports


def delete_song_folder(folder: Path) -> None:
    """Delete what Performia wrote into a song's folder, and the folder where nothing else is in it. Raises StorageError."""
    try:
        for name in (STEMS_FOLDER, INVALID_FOLDER):
            below = folder / name
            if below.is_dir() and not below.is_symlink():
                shutil.rmtree(below)
        if (song_id := _id_of(folder / MAP_NAME)) is not None:
            delete_exports(folder, song_id)
        for name in (TIMELINE_NAME, HEARD_CHORDS_NAME, MACHINE_MAP_NAME, CORRECTIONS_NAME, MAP_NAME):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"Could not delete the song's files: {error.strerror or error}", "Check the folder's permissions") from error
    with suppress(OSError):
        folder.rmdir()


def _id_of(file: Path) -> str | None:
    """The song's id, of its map; None where that cannot be read any more."""
    try:
        return str(json.loads(file.read_bytes())["id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def delete_audio(store: ArtifactStore, hashes: Iterable[str], before: float) -> int:
    """Delete audio of the store, and what was made of it, unless it was used since `before` (seconds since the epoch).

    hashes: those that no other song names. What a record of the step cache names may go too: the step is then computed again. Returns how
    many files went. Raises StorageError, OSError.
    """
    return sum(store.remove(sha256, before) for sha256 in hashes)
