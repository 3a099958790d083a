"""Notes that were sung near the grid come to stand on it, in whichever division they were sung."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from odd_songs import SONGS, Maker, song_of

from tasks.export.grid import QUARTER, grid_of
from tasks.export.quantised import quantised

MAKER = Maker(first_sec=0.0, bpm=100.0)
GRID = grid_of(MAKER.make())


def sung(onsets: list[float], length: float = 0.2, scatter: float = 0.0) -> list[tuple[float, float]]:
    """Notes at beats, sung up to `scatter` seconds beside them."""
    dice = random.Random(3)
    return [(time := MAKER.time(beat) + dice.uniform(-scatter, scatter), time + length) for beat in onsets]


@pytest.mark.parametrize(
    "onsets",
    [
        [4, 5, 6, 7],
        [4, 4.5, 5, 5.5, 7],
        [4, 4.25, 4.5, 4.75, 5, 5.75],
        [4, 4 + 1 / 3, 4 + 2 / 3, 5, 5 + 2 / 3, 6],
    ],
)
def test_notes_sung_a_little_beside_the_grid_are_set_on_it(onsets: list[float]) -> None:
    slots = quantised(sung(onsets, scatter=0.02), GRID)
    assert [slot.start for slot in slots] == [round(onset * QUARTER) for onset in onsets]


def test_a_swinging_song_swings_where_an_onset_alone_would_not_say_so() -> None:
    doubtful = [12, 12.72]  # nearer to a sixteenth
    for share, where in ((2 / 3, QUARTER * 2 // 3), (0.75, QUARTER * 3 // 4)):
        beats = [beat + offset for beat in (*range(4, 12), *range(13, 18)) for offset in (0, share)]
        slots = quantised(sung(sorted([*beats, *doubtful])), GRID)
        assert [slot.start - 12 * QUARTER for slot in slots if 12 * QUARTER < slot.start < 13 * QUARTER] == [where]


def test_a_singer_who_is_always_early_is_not_set_a_sixteenth_earlier() -> None:
    onsets = [float(beat) for beat in range(4, 28)]
    early = [(start - 0.09, end - 0.09) for start, end in sung(onsets, scatter=0.03)]  # 0.15 beats
    assert [slot.start for slot in quantised(early, GRID)] == [round(onset * QUARTER) for onset in onsets]


def test_a_note_lasts_over_a_breath_and_no_further() -> None:
    short, long = quantised(sung([4, 5, 8], length=0.55), GRID)[:2]
    assert short.end == 5 * QUARTER
    assert long.end == 6 * QUARTER


def test_notes_that_no_grid_keeps_apart_are_one_slot_named_after_the_longest() -> None:
    start = MAKER.time(4)
    slots = quantised([(start, start + 0.02), (start + 0.02, start + 0.3)], GRID)
    assert [(slot.members, slot.main) for slot in slots] == [((0, 1), 1)]


def test_eighths_of_six_eight_are_beats() -> None:
    song_map = song_of("six_eight")
    grid = grid_of(song_map)
    melody = song_map.performance.melody
    slots = quantised([(note.start, note.end) for note in melody], grid)
    assert [slot.start for slot in slots] == [round(grid.tick(note.start)) for note in melody]


@pytest.mark.parametrize("name", SONGS)
def test_slots_follow_each_other_and_stand_for_every_note(name: str) -> None:
    melody = song_of(name).performance.melody
    slots = quantised([(note.start, note.end) for note in melody], grid_of(song_of(name)))
    assert [nth for slot in slots for nth in slot.members] == list(range(len(melody)))
    assert all(slot.start < slot.end for slot in slots)
    assert all(slot.end <= following.start for slot, following in pairwise(slots))
