"""A song as it stands on a sheet."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from odd_songs import SONGS, Maker, song_of

from schemas.song_map import SongMap
from tasks.export.lines import PlayedBars, SungLine, parts_of, words_of


def labels_of(song_map: SongMap) -> list[str]:
    """The rows in words: a line with its chords in brackets before the letters they stand over, bars with bars."""
    found = []
    for part in parts_of(song_map):
        found.append(f"[{part.section.label if part.section else ''}]")
        for row in part.rows:
            if isinstance(row, SungLine):
                text = ""
                for nth, word in enumerate([*(word.text for word in row.words), ""]):
                    before: dict[int, list[str]] = {letter: [] for letter in range(len(word) + 1)}
                    for placed in row.chords:
                        if placed.word == nth:
                            before[placed.letter].append(f"({placed.chord.display})")
                    marked = "".join("".join(before[at]) + letter for at, letter in enumerate(word)) + "".join(before[len(word)])
                    text += marked + " "
                found.append(text.strip())
            else:
                begins = f"{row.sounding.display}… " if row.sounding else ""
                bars = [" ".join(f"{chord.display}@{beat:g}" for beat, chord in bar.chords) or "-" for bar in row.bars]
                found.append(begins + "| " + " | ".join(bars) + " |")
    return found


def test_chords_stand_over_the_syllables_they_begin_with() -> None:
    assert labels_of(song_of("plain")) == [
        "[intro]",
        "| C@0 | Am7@0 |",
        "[verse]",
        "(F)Shining river, (G7)carry me",
        "(C/E)Down to the sea",
        "[chorus]",
        "(Dm7)Over and o(G7sus4)ver again",
        "(Em7♭5)Sing with me",
        "[outro]",
        "| Bbmaj7@0 | N.C.@0 |",
    ]


def test_a_line_that_comes_in_early_belongs_to_the_section_it_is_sung_in() -> None:
    assert labels_of(song_of("pickup")) == [
        "[verse]",
        "(N.C.)Oh (G)say, can you see (D7)",
        "[chorus]",
        "(D7)by (G)the dawn's",
        "[outro]",
        "G… | - | - | - | - |",
    ]


def test_without_a_pulse_what_is_played_is_one_passage() -> None:
    assert labels_of(song_of("no_pulse")) == [
        "[verse]",
        "| Dm@0 |",
        "Slow (A/C#)and free",
        "A/C#… | - |",
        "heaven(Dm)",
        "Dm… | - |",
    ]


@pytest.mark.parametrize("name", SONGS)
def test_every_line_and_every_chord_is_there_once_and_in_order(name: str) -> None:
    song_map = song_of(name)
    parts = parts_of(song_map)
    assert [part.section for part in parts] == list(song_map.sections or [None])
    rows = [row for part in parts for row in part.rows]
    assert [row.line for row in rows if isinstance(row, SungLine)] == list(song_map.lyrics)
    begun = []
    for row in rows:
        if isinstance(row, PlayedBars):
            begun += [chord for bar in row.bars for _, chord in bar.chords]
            assert [(bar.start, bar.end) for bar in row.bars] == sorted((bar.start, bar.end) for bar in row.bars)
            for bar in row.bars:
                assert all(beat >= 0 and (bar.beats is None or beat <= bar.beats - 1) for beat, _ in bar.chords)
        else:
            begun += [placed.chord for placed in row.chords]
            places = [(placed.word, placed.letter) for placed in row.chords]
            assert places == sorted(places)
            for word, letter in places:
                assert word == len(row.words) or letter <= len(row.words[word].text)
    counted = Counter(chord.start for chord in begun)
    assert set(counted) == {chord.start for chord in song_map.chords}
    repeated = [time for time, times in counted.items() if times > 1]
    assert len(repeated) <= len(parts)
    in_order = [chord.start for chord in dict.fromkeys(begun)]
    assert all(earlier < later for earlier, later in pairwise(in_order))


def test_a_section_that_begins_within_a_chord_names_it() -> None:
    song = Maker(lines=((8, ["One"], 1.0), (16, ["Two"], 1.0)), chords=((0, "C:maj"),), sections=((0, "verse", "A"), (14, "chorus", "B")))
    assert labels_of(song.make())[-4:] == ["One", "[chorus]", "(C)Two", "C… | - | - | - |"]


def test_a_line_without_words_is_one_word() -> None:
    song_map = song_of("lines_without_words")
    assert [word.text for line in song_map.lyrics for word in words_of(line)] == [line.text for line in song_map.lyrics]
    assert "(F)Shining river, carry me(G7)" in labels_of(song_map)
