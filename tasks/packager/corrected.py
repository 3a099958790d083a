"""The map that is written: the machine's with what persons put right, valid whatever they said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from schemas.corrections import Corrections
from schemas.results import Chords, SongSource
from schemas.song_map import SongMap
from tasks.common.settings import Settings
from tasks.corrections.apply import Correcting, apply
from tasks.corrections.kept import read_log
from tasks.corrections.log import effective, joined
from tasks.packager.folder import folder_of
from tasks.packager.validation import validate

#: So many operations are refused one by one.
_MOST_ALONE: Final = 8


def log_of_song(settings: Settings, source: SongSource, file_name: str, out_dir: Path, given: Corrections | None) -> Corrections:
    """All that persons put right in a song: in its folder, in the store, and what this run was given, of whichever decode of it.

    Raises CorrectionsInvalid, StorageError.
    """
    return joined(source.song_id, read_log(settings, source.song_id, folder_of(out_dir, file_name, source.song_id)), given)


def corrected(machine: SongMap, log: Corrections, heard: Chords | None = None) -> Correcting:
    """A valid map with the corrections that it takes. machine: a valid one. heard: see `apply`.

    An operation with which the map would be invalid is a conflict, and says so. Each is looked for alone, which takes its time; after
    many, all that was said from the next one on is refused with it. A machine's map that is invalid itself, as one of another version of
    Performia may be, is corrected as it is.
    """
    whole = apply(machine, log.operations, heard)
    if not document_problems(whole.song_map) or document_problems(machine):
        return whole
    refused: dict[str, str] = {}
    counting = effective(log.operations)

    def tried(number: int) -> Correcting:
        """With the first of the operations that count. The others are refused, not left out: times of another decode stay as they are."""
        return apply(machine, log.operations, heard, {operation.id: "not tried" for operation in counting[number:]} | refused)

    while document_problems(whole.song_map):
        good, bad = 0, len(counting)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (good, middle) if document_problems(tried(middle).song_map) else (middle, bad)
        why = f"the map would be invalid: {document_problems(tried(bad).song_map)[0]}"
        last = bad if len(refused) < _MOST_ALONE else len(counting)
        refused = {operation.id: why for operation in counting[bad - 1 : last]} | refused
        whole = apply(machine, log.operations, heard, refused)
    return whole


def document_problems(song_map: SongMap) -> list[str]:
    """What is wrong with a map as a document."""
    document: dict[str, Any] = song_map.model_dump(mode="json", exclude_unset=True, warnings=False)
    return [str(problem) for problem in validate(document)]
