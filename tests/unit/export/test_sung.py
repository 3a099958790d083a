"""Every syllable has a note, and every note that is sung its syllable."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from odd_songs import SONGS, VERSE, Maker, song_of

from tasks.export.lines import words_of
from tasks.export.sung import sung_notes, texts_of


@pytest.mark.parametrize("name", SONGS)
def test_every_syllable_begins_a_note_in_order(name: str) -> None:
    song_map = song_of(name)
    notes = sung_notes(song_map)
    assert [note.text for note in notes if note.text] == list(texts_of(song_map))
    assert all(note.start < note.end for note in notes)
    assert all(note.end <= following.start for note, following in pairwise(notes))


@pytest.mark.parametrize("name", SONGS)
def test_the_texts_together_are_the_lines(name: str) -> None:
    song_map = song_of(name)
    written = "".join(text.text + text.after for text in texts_of(song_map))
    space = "" if song_map.voice.language == "ja" else " "
    assert written == "".join(space.join(word.text for word in words_of(line)) + "\n" for line in song_map.lyrics)


def test_a_note_for_each_syllable_stays_as_it_is() -> None:
    song_map = song_of("plain")
    assert [(note.start, note.end, note.midi) for note in sung_notes(song_map)] == [
        (note.start, note.end, note.midi) for note in song_map.performance.melody
    ]


def changed(change: Any) -> Any:
    """The notes of the plain song whose melody was changed."""

    def changes(document: dict[str, Any]) -> None:
        document["performance"]["melody"] = change(document["performance"]["melody"])
        document["performance"]["parts"]["melody"] = None

    return sung_notes(Maker(lines=VERSE, changes=changes).make())


def test_a_second_note_in_a_syllable_goes_on_with_it() -> None:
    def split(melody: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = melody[0]
        middle = (first["start"] + first["end"]) / 2
        return [first | {"end": middle, "bends": []}, first | {"start": middle, "midi": 71, "bends": []}, *melody[1:]]

    notes = changed(split)
    assert (notes[0].text.text, notes[0].goes_on) == ("Shi", False)
    assert (notes[1].text, notes[1].goes_on, notes[1].midi) == (None, True, 71)


def test_syllables_within_one_note_share_its_pitch() -> None:
    def joined(melody: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [melody[0] | {"end": melody[1]["end"]}, *melody[2:]]

    notes = changed(joined)
    assert [note.text.text for note in notes[:2]] == ["Shi", "ning"]
    assert notes[0].midi == notes[1].midi
    assert notes[0].end == notes[1].start


def test_a_syllable_without_a_note_is_spoken() -> None:
    notes = changed(lambda melody: melody[1:])
    assert (notes[0].text.text, notes[0].midi) == ("Shi", None)


def test_a_note_without_words_is_hummed() -> None:
    hummed = {"start": 0.6, "end": 1.1, "midi": 64, "conf": 0.7, "cents": 0.0, "bends": []}
    notes = changed(lambda melody: [hummed, *melody])
    assert (notes[0].text, notes[0].goes_on, notes[0].midi) == (None, False, 64)


def test_a_song_of_nothing_has_no_notes() -> None:
    assert sung_notes(song_of("nothing")) == ()
