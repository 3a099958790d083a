"""What a person says becomes an operation that is placed where they meant it, and holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.common.errors import CorrectionUnplaceable
from tasks.corrections import said
from tasks.corrections.apply import Correcting

Correct = Callable[..., Correcting]
Saying = Callable[[SongMap], said.Said]

SAYINGS: list[Saying] = [
    lambda song: said.tempo(song, double=True),
    lambda song: said.tempo(song, double=False),
    lambda song: said.downbeat(song, 2),
    lambda song: said.downbeat(song, -1, since=20.0),
    lambda song: said.downbeat_at(song, 9.1),
    lambda song: said.beats_shifted(song, 40.0),
    lambda song: said.beats_tapped(song, [8.0, 8.6, 9.2, 9.8, 10.4], one=8.0),
    lambda song: said.beats_replaced(song, [(0.25 + 0.6 * beat, beat % 3 + 1) for beat in range(100)]),
    lambda song: said.meter(song, 3, 4),
    lambda song: said.key(song, "C", "major", start=20.0),
    lambda song: said.chord(song, 9.0, "A:min7", everywhere=True),
    lambda song: said.chord(song, 63.9, "N"),
    lambda song: said.chord_split(song, 9.0, ("A:min", "E:min")),
    lambda song: said.chords_merged(song, 9.0, 13.0),
    lambda song: said.section(song, 30.0, "bridge"),
    lambda song: said.section_moved(song, 30.0, 26.0),
    lambda song: said.section_split(song, 32.0, ("chorus", "solo")),
    lambda song: said.sections_merged(song, 10.0),
    lambda song: said.word(song, 8.1, None, "talking"),
    lambda song: said.word(song, 22.0, "stones", "loans"),
    lambda song: said.word(song, 8.1, None, ""),
    lambda song: said.word_time(song, 8.1, None, 8.2, None),
    lambda song: said.word_time(song, 8.1, None, None, 8.4),
    lambda song: said.line_split(song, 9.25),
    lambda song: said.lines_joined(song, 13.0),
    lambda song: said.lyrics_shifted(song, -150.0),
    lambda song: said.note_pitch(song, "melody", 8.1, 72),
    lambda song: said.note_time(song, "bass", 2.5, None, 3.0),
    lambda song: said.title(song, "Road"),
    lambda song: said.artist(song, "Ann"),
]


@pytest.mark.parametrize("saying", SAYINGS, ids=range(len(SAYINGS)))
def test_what_is_said_of_a_song_holds_in_it(saying: Saying, song_map: SongMap, correct: Correct) -> None:
    change, _ = saying(song_map)
    done = correct(song_map, change)
    assert [outcome.outcome for outcome in done.outcomes] == ["applied"]
    assert done.song_map != song_map


@pytest.mark.parametrize("saying", SAYINGS, ids=range(len(SAYINGS)))
def test_said_again_of_the_outcome_changes_no_more_than_it_says(saying: Saying, song_map: SongMap, correct: Correct) -> None:
    change, was = saying(song_map)
    assert was is None or was
    twice = correct(song_map, change, change)
    assert len(twice.outcomes) == 2


@pytest.mark.parametrize(
    ("saying", "why"),
    [
        (lambda song: said.word(song, None, "the", "a"), "Say which with --at: 9.20"),
        (lambda song: said.word(song, None, "absent", "a"), "not in the lyrics"),
        (lambda song: said.word(song, 3.0, None, "a"), "the nearest is 'walking' at 8.00"),
        (lambda song: said.word(song, None, None, "a"), "--at SECONDS"),
        (lambda song: said.word_time(song, 8.1, None, 9.0, 8.5), "end before it begins"),
        (lambda song: said.chord(song, 99.0, "N"), "outside the chords"),
        (lambda song: said.chord_split(song, 8.0, ("N", "N")), "begins at"),
        (lambda song: said.chords_merged(song, 8.1, 8.2), "one chord"),
        (lambda song: said.section_moved(song, 1.0, 2.0), "first section"),
        (lambda song: said.sections_merged(song, 60.0), "no section after"),
        (lambda song: said.lines_joined(song, 8.1), "no line before"),
        (lambda song: said.note_pitch(song, "melody", 2.0, 60), "no note near"),
        (lambda song: said.note_pitch(song, "harmony", 2.0, 60), "no notes in its harmony"),
        (lambda song: said.downbeat(song, 0), "no beat"),
        (lambda song: said.downbeat_at(song, 8.0), "a one already"),
        (lambda song: said.beats_tapped(song, [1.0, 99.0, 100.0, 101.0]), "four taps"),
        (lambda song: said.key(song, "C", "major", 9.0, 8.0), "end before it begins"),
        (lambda song: said.lyrics_given(song, "  "), "empty"),
    ],
)
def test_what_has_no_place_says_why_and_what_to_do(saying: Saying, why: str, song_map: SongMap) -> None:
    with pytest.raises(CorrectionUnplaceable) as caught:
        saying(song_map)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "saying",
    [
        lambda song: said.word(song, 1.0, None, "a"),
        lambda song: said.chord(song, 1.0, "N"),
        lambda song: said.section(song, 1.0, "verse"),
        lambda song: said.tempo(song, double=True),
        lambda song: said.downbeat(song, 1),
        lambda song: said.downbeat_at(song, 1.0),
        lambda song: said.beats_shifted(song, 10.0),
        lambda song: said.lyrics_shifted(song, 10.0),
        lambda song: said.note_pitch(song, "bass", 1.0, 40),
    ],
)
def test_a_song_in_which_nothing_was_heard_takes_none(saying: Saying, song_map: SongMap) -> None:
    nothing = song_map.model_copy(
        update={
            "lyrics": (),
            "chords": (),
            "sections": (),
            "beats": (),
            "downbeats": (),
            "tempo": song_map.tempo.model_copy(update={"bpm_global": None}),
            "performance": song_map.performance.model_copy(update={"bass": ()}),
        }
    )
    with pytest.raises(CorrectionUnplaceable):
        saying(nothing)


def test_the_last_is_taken_back_or_the_one_whose_id_begins_so(song_map: SongMap, log_of: Callable[..., c.Corrections]) -> None:
    log = log_of(song_map, c.TitleSet(title="One"), c.TitleSet(title="Two"))
    first, last = log.operations
    assert said.undo(log.operations)[0] == c.Undo(operation=last.id)
    assert said.undo(log.operations, first.id[:7])[0] == c.Undo(operation=first.id)
    with pytest.raises(CorrectionUnplaceable, match="no operation"):
        said.undo(log.operations, "x")
    with pytest.raises(CorrectionUnplaceable, match="Nothing is put right"):
        said.undo(())
