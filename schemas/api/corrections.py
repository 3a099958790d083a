"""Corrections: what persons put right in a song, as they come and as they are shown."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from schemas.api.songs import SONG_ID_PATTERN
from schemas.corrections import Change, Operation
from schemas.results import Frozen
from schemas.song_map import CorrectionOutcome

MOST_AT_ONCE: Final = 200
_WORD: Final[dict[str, Any]] = {
    "kind": "word_text",
    "word": {"time": 17.79, "text": "number", "before": ["at", "sea", "The"], "after": ["wind", "is", "getting"]},
    "text": "northern",
}


class CorrectionsWanted(Frozen):
    """What is to be put right, in this order. An `undo` takes an operation back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"changes": [_WORD]}]})

    changes: Annotated[tuple[Change, ...], Field(min_length=1, max_length=MOST_AT_ONCE)]
    author: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Who says so. Left out: the key's name."
    )


class SongCorrections(Frozen):
    """All that persons put right in a song, and what became of it."""

    song: str = Field(pattern=SONG_ID_PATTERN)
    operations: tuple[Operation, ...] = Field(description="In the order in which they were said; none is ever taken out.")
    outcomes: tuple[CorrectionOutcome, ...] = Field(description="Of those that count.")
    added: tuple[str, ...] = Field(default=(), description="Ids of the operations that this request made.")
