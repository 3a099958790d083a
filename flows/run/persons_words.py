"""What persons put right in the song of a run: inputs of the graph, known once the song's id is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.corrections import Corrections, GridCorrections
from schemas.results import SongSource
from tasks.common.errors import CorrectionsInvalid
from tasks.common.orchestration.step_task import result_or_error
from tasks.common.settings import get_settings
from tasks.corrections.log import given_lyrics, grid_corrections
from tasks.packager.corrected import log_of_song


class PersonsWords:
    """log: all of it, once `of_grid` was asked; None where the song's id is not known.

    given: what this run was given, beside what is kept for the song. Raises CorrectionsInvalid where it is none.
    """

    def __init__(self, song: Path, output_dir: Path | None, given: dict[str, Any] | None):
        self.log: Corrections | None = None
        self._file_name = song.name
        self._output_dir = output_dir or get_settings().songs_dir
        self._given = _read(given) if given is not None else None

    def of_grid(self, ingest: Any) -> GridCorrections | None:
        """What the steps that read beats and keys are given; waits for ingest. Raises CorrectionsInvalid, StorageError."""
        source = result_or_error(ingest)
        if not isinstance(source, SongSource):
            return None
        self.log = log_of_song(get_settings(), source, self._file_name, self._output_dir, self._given)
        return grid_corrections(source.song_id, self.log.operations)

    @property
    def lyrics(self) -> str | None:
        """The lyrics that a person gave last, once `of_grid` was asked."""
        return given_lyrics(self.log.operations) if self.log is not None else None


def _read(given: dict[str, Any]) -> Corrections:
    try:
        return Corrections.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise CorrectionsInvalid(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
