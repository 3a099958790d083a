"""Two maps, and what a musician would say differs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.corrections import said
from tasks.corrections.apply import Correcting
from tasks.corrections.difference import Difference, differences

Correct = Callable[..., Correcting]


def test_a_map_does_not_differ_from_itself(song_map: SongMap) -> None:
    assert differences(song_map, song_map) == []


@pytest.mark.parametrize(
    ("saying", "found"),
    [
        (lambda song: said.word(song, 8.1, None, "talking"), [Difference("word", 8.0, "walking", "talking")]),
        (lambda song: said.word(song, 8.1, None, "Walking"), [Difference("word", 8.0, "walking", "Walking")]),
        (lambda song: said.word(song, 8.1, None, ""), [Difference("word", 8.0, "walking", None)]),
        (lambda song: said.chord(song, 9.0, "A:min7"), [Difference("chord", 8.0, "Am", "Am7")]),
        (lambda song: said.title(song, "Road"), [Difference("title", None, "River Road", "Road")]),
        (lambda song: said.artist(song, "Ann"), [Difference("artist", None, "The [Band]", "Ann")]),
        (lambda song: said.line_split(song, 9.25), [Difference("line", 9.2, "no line begins", "a line begins")]),
        (
            lambda song: said.section(song, 30.0, "bridge"),
            [Difference("section", 24.0, "chorus 0:24.00 to 0:40.00", "bridge 0:24.00 to 0:40.00")],
        ),
        (
            lambda song: said.note_pitch(song, "bass", 2.5, 40),
            [Difference("note", 2.0, "bass B1 0:02.00 to 0:03.50", "bass E2 0:02.00 to 0:03.50")],
        ),
    ],
)
def test_one_thing_put_right_is_one_difference(
    saying: Callable[[SongMap], said.Said], found: list[Difference], song_map: SongMap, correct: Correct
) -> None:
    assert differences(song_map, correct(song_map, saying(song_map)[0]).song_map) == found


def test_beats_that_move_as_one_say_by_how_much(song_map: SongMap, correct: Correct) -> None:
    moved = correct(song_map, c.BeatsShifted(ms=40, heard=song_map.beats[::8])).song_map
    assert Difference("beats", None, "128", "all +40 ms") in differences(song_map, moved)


def test_half_the_tempo_is_half_the_beats(song_map: SongMap, correct: Correct) -> None:
    found = differences(song_map, correct(song_map, c.TempoHalved(bpm=120.0)).song_map)
    assert [difference.what for difference in found] == ["tempo", "beats", "downbeats"]
    assert found[0] == Difference("tempo", None, "120 bpm", "60 bpm")


def test_what_is_missing_in_one_is_said(song_map: SongMap) -> None:
    without = song_map.model_copy(update={"chords": (), "lyrics": (), "sections": ()})
    kinds = {difference.what for difference in differences(song_map, without)}
    assert kinds == {"chord", "word", "section"}
    assert all(difference.after is None for difference in differences(song_map, without))
    assert all(difference.before is None for difference in differences(without, song_map))
