"""The map that is written: the machine's with what persons put right, valid whatever they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from schemas.corrections import Corrections
from schemas.results import Chords, SongSource
from schemas.song_map import SongMap
from tasks.common.settings import Settings
from tasks.corrections.apply import Correcting, apply
from tasks.corrections.kept import read_log
from tasks.corrections.log import effective, joined
from tasks.packager.folder import folder_of
from tasks.packager.validation import validate


def log_of_song(settings: Settings, source: SongSource, file_name: str, out_dir: Path, given: Corrections | None) -> Corrections:
    """All that persons put right in a song: in its folder, in the store, and what this run was given, of whichever decode of it.

    Raises CorrectionsInvalid, StorageError.
    """
    return joined(source.song_id, read_log(settings, source.song_id, folder_of(out_dir, file_name, source.song_id)), given)


def corrected(machine: SongMap, log: Corrections, heard: Chords | None = None) -> Correcting:
    """A valid map with the corrections that it takes. machine: a valid one. heard: see `apply`.

    An operation with which the map would be invalid is a conflict, and says so; it is found by applying them one after the other.
    """
    whole = apply(machine, log.operations, heard)
    if not document_problems(whole.song_map):
        return whole
    refused: dict[str, str] = {}
    counting = effective(log.operations)
    for number, operation in enumerate(counting, start=1):
        tried = apply(machine, counting[:number], heard, refused)
        if problems := document_problems(tried.song_map):
            refused[operation.id] = f"the map would be invalid: {problems[0]}"
    return apply(machine, log.operations, heard, refused)


def document_problems(song_map: SongMap) -> list[str]:
    """What is wrong with a map as a document."""
    document: dict[str, Any] = song_map.model_dump(mode="json", exclude_unset=True, warnings=False)
    return [str(problem) for problem in validate(document)]
