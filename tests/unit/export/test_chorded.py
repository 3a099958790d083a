"""Lines of lyrics are cut where chords stand, and nothing of their text is lost."""

from __future__ import annotations

import pytest
from odd_songs import SONGS, Maker, song_of

from tasks.export.chorded import pieces_of
from tasks.export.lines import SungLine, parts_of


def sung(name: str) -> list[SungLine]:
    return [row for part in parts_of(song_of(name)) for row in part.rows if isinstance(row, SungLine)]


@pytest.mark.parametrize("name", SONGS)
def test_the_pieces_together_are_the_line(name: str) -> None:
    for row in sung(name):
        pieces = pieces_of(row)
        assert "".join(piece.text for piece in pieces) == row.line.text
        assert all(piece.chords for piece in pieces[1:])
        shown = [chord for piece in pieces for chord in piece.chords]
        left_out = [placed.chord for placed in row.chords if placed.chord not in shown]
        assert all(chord.root is None for chord in left_out)


def test_a_line_whose_text_is_another_than_its_words_is_written_as_the_words_are() -> None:
    row = next(iter(sung("plain")))
    other = SungLine(row.line.model_copy(update={"text": "something else"}), row.chords)
    assert "".join(piece.text for piece in pieces_of(other)) == " ".join(word.text for word in row.words)


def test_a_rest_gives_way_to_a_chord_in_its_place() -> None:
    lines = ((8, ["Now"], 1.0),)
    song = Maker(lines=lines, chords=((0, "N"), (7.9, "N"), (8, "C:maj")), sections=((0, "verse", "A"),)).make()
    rows = [row for part in parts_of(song) for row in part.rows if isinstance(row, SungLine)]
    assert [[chord.display for chord in piece.chords] for row in rows for piece in pieces_of(row)] == [["C"]]
