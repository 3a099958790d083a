"""A song of a minute that is corrected: see `tests/support/river_road.py`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from river_road import document

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.corrections.apply import Correcting, apply
from tasks.corrections.log import with_changes


@pytest.fixture
def song_map() -> SongMap:
    """As the analysis has it."""
    return SongMap.from_json(json.dumps(document()))


@pytest.fixture
def log_of() -> Callable[..., c.Corrections]:
    """log_of(song_map, change, ...): a log with these changes."""

    def made(song_map: SongMap, *changes: c.Change) -> c.Corrections:
        return with_changes(c.Corrections(song=song_map.id), song_map, [(change, None) for change in changes], "Ann")

    return made


@pytest.fixture
def correct(log_of: Callable[..., c.Corrections]) -> Callable[..., Correcting]:
    """correct(song_map, change, ..., on=None): what becomes of changes that were made on a map, in it or in another one."""

    def corrected(song_map: SongMap, *changes: c.Change, on: SongMap | None = None) -> Correcting:
        return apply(song_map, log_of(on or song_map, *changes).operations)

    return corrected
