"""Removing a song: its folders below the output folder. What lies in the artifact store goes with the prune, once nobody names it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from schemas.song_folder import MAP_NAME
from tasks.common.settings import Settings


def remove_song(settings: Settings, song_id: str) -> int:
    """Remove every folder that holds the map of a song; return how many there were."""
    found = [folder for folder, _, names in os.walk(settings.songs_dir) if MAP_NAME in names and _id_of(Path(folder)) == song_id]
    for folder in found:
        shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def _id_of(folder: Path) -> str | None:
    try:
        song = json.loads((folder / MAP_NAME).read_bytes())["id"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(song)
