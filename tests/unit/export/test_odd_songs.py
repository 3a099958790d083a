"""The songs that the tests of the exports share are what a Song Map may be."""

from __future__ import annotations

import json

import pytest
from odd_songs import SONGS, song_of

from tasks.packager.validation import validate


@pytest.mark.parametrize("name", SONGS)
def test_the_odd_songs_are_valid_song_maps(name: str) -> None:
    assert validate(json.loads(song_of(name).to_json())) == []
