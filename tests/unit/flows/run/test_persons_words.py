"""What a run's song has been corrected by is known once ingest has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.run.persons_words import PersonsWords
from schemas import corrections as c
from schemas import results as r
from tasks.common.errors import AudioSilent, CorrectionsInvalid

SONG = "0123456789abcdef"


def operation(number: int, change: c.Change) -> c.Operation:
    return c.Operation(id=f"{number:012x}", author="Ann", time="2026-01-01T00:00:00Z", song=SONG, change=change)


@pytest.fixture
def source() -> r.SongSource:
    return r.SongSource.model_construct(song_id=SONG)


def test_the_steps_get_the_beats_and_keys_and_the_packager_all(source: r.SongSource, tmp_path: Path) -> None:
    log = c.Corrections(song=SONG, operations=(operation(1, c.TitleSet(title="Road")), operation(2, c.TempoHalved(bpm=140.0))))
    words = PersonsWords(Path("song.mp3"), tmp_path, log.model_dump(mode="json"))
    grid = words.of_grid(source)
    assert grid is not None
    assert [held.change for held in grid.operations] == [c.TempoHalved(bpm=140.0)]
    assert words.log == log


def test_the_lyrics_that_were_given_last_are_to_be_placed(source: r.SongSource, tmp_path: Path) -> None:
    log = c.Corrections(song=SONG, operations=(operation(1, c.LyricsGiven(text="one")), operation(2, c.LyricsGiven(text="two"))))
    words = PersonsWords(Path("song.mp3"), tmp_path, log.model_dump(mode="json"))
    assert words.lyrics is None  # the song is not known yet
    words.of_grid(source)
    assert words.lyrics == "two"


def test_without_corrections_the_steps_get_nothing(source: r.SongSource, tmp_path: Path) -> None:
    words = PersonsWords(Path("song.mp3"), tmp_path, None)
    assert words.of_grid(source) is None
    assert words.log is not None
    assert words.log.operations == ()


def test_where_ingest_failed_nothing_is_asked(tmp_path: Path) -> None:
    words = PersonsWords(Path("song.mp3"), tmp_path, None)
    assert words.of_grid(AudioSilent("it is silent")) is None
    assert words.log is None


def test_what_is_no_log_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(CorrectionsInvalid, match="song"):
        PersonsWords(Path("song.mp3"), tmp_path, {"operations": []})
