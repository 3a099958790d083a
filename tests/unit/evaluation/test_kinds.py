"""The songs with chords of every kind: what they say of themselves is what is played."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.evaluation.datasets import kinds
from tasks.evaluation.split import split_of


@pytest.mark.parametrize("way", ["piano_broken", "steel_strummed", "strings_song"])
def test_the_tones_of_the_chord_that_is_annotated_are_played_and_no_others(way: str) -> None:
    song = kinds.compose(way, 0)
    played = [player for player in song.band.players if player.name in ("chords", "bass")]
    for span in song.chords:
        chord = harte.parse(span.label)
        assert chord is not None
        above, lowest = kinds.tones_of(chord.quality + (f"/{chord.bass}" if chord.bass else ""))
        heard = {note.pitch for player in played for note in player.notes if span.start - 1e-3 <= note.start < span.end - 1e-3}
        root = pitch_class(chord.root)
        assert {pitch % 12 for pitch in heard} == {(root + tone) % 12 for tone in above}
        assert min(heard) % 12 == (root + lowest) % 12


def test_songs_are_the_same_each_time_and_their_chords_follow_each_other() -> None:
    song = kinds.compose("harp", 1)
    assert song == kinds.compose("harp", 1)
    assert song != kinds.compose("harp", 0)
    assert all(first.end == second.start and first.label != second.label for first, second in pairwise(song.chords))


def test_both_halves_have_pianos_guitars_and_bands() -> None:
    for split in ("choose", "check"):
        ways = [kinds.WAYS[name] for name in kinds.WAYS if split_of("kinds", name) == split]
        assert any(way.program < 4 for way in ways)
        assert any(24 <= way.program < 32 for way in ways)
        assert any(way.has_drums for way in ways)
