"""Label tracks and LRC as other programs write them."""

from __future__ import annotations

import pytest

from schemas.song_map import SongMap
from tasks.common.errors import CorrectionsInvalid
from tasks.corrections.label_files import KINDS, Label, Of, TimedLine, is_lrc, labels_of, read_labels, read_lrc, written


@pytest.mark.parametrize("of", KINDS)
def test_what_is_written_is_read_again(of: Of, song_map: SongMap) -> None:
    labels = labels_of(song_map, of)
    if of == "harmony":
        assert labels == []
    else:
        assert read_labels(written(labels)) == labels


def test_beats_say_their_place_in_the_bar_also_in_a_pickup(song_map: SongMap) -> None:
    pickup = song_map.model_copy(update={"downbeats": song_map.beats[1::4]})
    assert [label.text for label in labels_of(pickup, "beats")[:6]] == ["4", "1", "2", "3", "4", "1"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("1.5\t2\ttwo words", Label(1.5, 2.0, "two words")),
        ("\ufeff1,5\t2,25\tcomma\r\n", Label(1.5, 2.25, "comma")),
        ("1\t1\t", Label(1.0, 1.0, "")),
        ("1\t2", Label(1.0, 2.0, "")),
        ("1\t2\tשלום\n\\\t100\t2000\n", Label(1.0, 2.0, "שלום")),
    ],
)
def test_labels_of_other_programs_are_read(text: str, label: Label) -> None:
    assert read_labels(text) == [label]


@pytest.mark.parametrize("text", ["", "hello", "a\t2\tx", "2\t1\tx", "nan\t2\tx", "-1\t2\tx", "1\tinf\tx"])
def test_what_is_no_label_track_says_where(text: str) -> None:
    with pytest.raises(CorrectionsInvalid):
        read_labels(text)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[ti:x]\n[00:01.50]one two", [TimedLine(1.5, ((None, "one"), (None, "two")))]),
        ("[00:02.00][00:01.00]again", [TimedLine(1.0, ((None, "again"),)), TimedLine(2.0, ((None, "again"),))]),
        ("[01:02.345]<01:02.40>one <01:03.00>two <01:03.50>", [TimedLine(62.345, ((62.4, "one"), (63.0, "two")))]),
        ("[offset:+500]\n[00:01.50]one", [TimedLine(1.0, ((None, "one"),))]),
        ("[00:01.00]\n[00:02]two", [TimedLine(2.0, ((None, "two"),))]),
    ],
)
def test_lrc_is_read(text: str, lines: list[TimedLine]) -> None:
    assert is_lrc(text)
    assert read_lrc(text) == lines


def test_lrc_without_words_is_refused() -> None:
    with pytest.raises(CorrectionsInvalid):
        read_lrc("[00:01.00]\n[ar:x]")
    assert not is_lrc("1.0\t2.0\tword")
