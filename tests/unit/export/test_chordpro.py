"""ChordPro as chordsketch, an independent reader of the format, understands it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import chordsketch
import pytest
from odd_songs import SONGS, Maker, song_of

from tasks.common.harmony import harte, spelling
from tasks.export import chordpro
from tasks.export.chorded import Piece, pieces_of
from tasks.export.lines import SungLine, parts_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.transposed import transposed


def written(name: str, **options: int) -> str:
    return chordpro.write(Song(song_of(name)), ExportOptions(**options)).decode("utf-8")


class Sheet(HTMLParser):
    """What chordsketch reads: lines of (chord, text), headings, and the chords of grids."""

    def __init__(self, text: str):
        super().__init__()
        self.lines: list[list[tuple[str, str]]] = []
        self.grids: list[str] = []
        self.headings: list[str] = []
        self._kind = ""
        self.feed(chordsketch.parse_and_render_html_body(text, None, None))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._kind = dict(attrs).get("class") or self._kind
        if self._kind == "line":
            self.lines.append([])
        elif self._kind == "chord-block":
            self.lines[-1].append(("", ""))

    def handle_data(self, data: str) -> None:
        data = data.replace("\xa0", " ")
        if self._kind == "chord" and data.strip():
            self.lines[-1][-1] = (data, "")
        elif self._kind == "lyrics" and self.lines:
            chord, text = self.lines[-1].pop() if self.lines[-1] else ("", "")
            self.lines[-1].append((chord, text + data))
        elif self._kind == "section-label":
            self.headings.append(data.strip())
        elif self._kind == "grid-chord":
            self.grids.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("span", "h3", "div"):
            self._kind = ""


@pytest.mark.parametrize("name", SONGS)
def test_every_kind_of_song_is_read_without_a_complaint(name: str) -> None:
    text = written(name)
    assert chordsketch.validate(text) == []
    assert text.count("{start_of_") == text.count("{end_of_")


@pytest.mark.parametrize("name", [name for name in SONGS if name != "markup"])
def test_words_and_chords_are_read_as_they_stand_in_the_map(name: str) -> None:
    song_map = song_of(name)
    sung = [row for part in parts_of(song_map) for row in part.rows if isinstance(row, SungLine)]
    wanted = [[pair for piece in pieces_of(row) for pair in _alone(piece)] for row in sung]
    read = [[(chord.replace("♭", "b").replace("♯", "#"), text) for chord, text in line] for line in Sheet(written(name)).lines]
    assert [line for line in read if line] == [[piece for piece in line if piece != ("", "")] for line in wanted]


def _alone(piece: Piece) -> list[tuple[str, str]]:
    """Of chords in one place, only the last one has text."""
    names = [chordpro.chord_name(chord) for chord in piece.chords] or [""]
    return [*((name, "") for name in names[:-1]), (names[-1], piece.text)]


@pytest.mark.parametrize("name", ["plain", "changing"])
def test_every_chord_of_the_map_is_on_the_sheet_in_order(name: str) -> None:
    song_map = song_of(name)
    text = written(name).split("\n\n", 1)[1]
    found = re.findall(r"(?<=\[)[^\]]+(?=\])|(?<=[| ~])[A-GN][^ |~\n]*(?= |~)", re.sub(r"\{.*\}", "", text))
    assert found == [chordpro.chord_name(chord) for chord in song_map.chords]


def test_a_chord_stands_over_the_syllable_that_is_sung_when_it_begins() -> None:
    lines = ((8, [("Hal", "le", "lu", "jah"), "sing"], 1.0),)
    song = Maker(lines=lines, chords=((0, "C:maj"), (8, "F:maj"), (10, "G:7"), (12, "A:min")), sections=((0, "verse", "A"),)).make()
    assert "[F]Halle[G7]lujah [Am]sing" in chordpro.write(Song(song), ExportOptions()).decode()


def test_a_capo_changes_what_is_written_and_a_transposition_too() -> None:
    plain, capo = song_of("plain"), written("plain", capo=3)
    assert "{capo: 3}" in capo
    assert "{key: A}" in capo
    lowered = chordpro.write(Song(transposed(plain, -3)), ExportOptions()).decode()
    assert capo.replace("{capo: 3}\n", "") == lowered
    roots = [harte.parse(chord.label) for chord in plain.chords]
    shown = [harte.parse(chord.label) for chord in transposed(plain, -3).chords]
    for sounding, shape in zip(roots, shown, strict=True):
        if sounding and shape:
            assert spelling.pitch_class(sounding.root) == (spelling.pitch_class(shape.root) + 3) % 12


def test_sections_have_environments_and_labels() -> None:
    text = written("plain")
    assert re.findall(r"\{start_of_(\w+): (?:shape=\"\w+\" label=)?\"?([^}\"]*)", text) == [
        ("grid", "Intro"),
        ("verse", "Verse"),
        ("chorus", "Chorus"),
        ("grid", "Outro"),
    ]
    assert "| C . . . | Am7 . . . |" in text


def test_a_section_with_neither_words_nor_chords_is_named() -> None:
    song = Maker(steady=False, lines=((8, ["Now"], 1.0),), sections=((0, "intro", "A"), (7, "verse", "B"))).make()
    assert "{comment: Intro}" in chordpro.write(Song(song), ExportOptions()).decode()


def test_keys_and_meters_are_said_where_they_change() -> None:
    text = written("changing")
    head, body = text.split("\n\n", 1)
    assert re.findall(r"\{(?:key|time|tempo): [^}]*\}", head) == ["{key: Cm}", "{tempo: 120}", "{time: 4/4}"]
    assert "{key: C#}" in body
    assert "{time: 3/4}" in body


def test_without_a_pulse_there_is_no_tempo_and_no_meter() -> None:
    text = written("no_pulse")
    assert "{tempo" not in text
    assert "{time" not in text
    assert "A/C#" in text


def test_nothing_in_titles_and_words_is_taken_for_an_instruction() -> None:
    text = written("markup")
    assert chordsketch.validate(text) == []
    for line in text.splitlines():
        assert not line.startswith("#")
        directives = re.findall(r"\{", line)
        assert len(directives) <= 1
        assert not directives or re.fullmatch(r"\{\w+(: [^{}]*)?\}", line)
    chords = set(re.findall(r"\[([^\]]*)\]", text))
    assert chords <= {chordpro.chord_name(chord) for chord in song_of("markup").chords}
    read = "".join(piece for line in Sheet(text).lines for _, piece in line)
    for word in ("(Am)", "(comment:", "‹b›bold‹/b›", "*star*", "a|b", "&amp;", "%percent"):
        assert word in read


@pytest.mark.parametrize(
    ("label", "name"),
    [("B:hdim7", "Bm7b5"), ("A:minmaj7", "Ammaj7"), ("C:maj6(9)", "C69"), ("D:min(9)", "Dmadd9"), ("G:7(b9)", "G7b9"), ("N", "N.C.")],
)
def test_chords_have_the_names_that_the_format_knows(label: str, name: str) -> None:
    chord = song_of("plain").chords[0].model_copy(update={"label": label, "display": harte.display(label)})
    assert chordpro.chord_name(chord) == name


def test_a_map_of_bars_without_changes_of_meter_has_its_usual_one() -> None:
    song_map = song_of("waltz")
    plain = song_map.model_copy(update={"meter": song_map.meter.model_copy(update={"changes": ()})})
    assert plain.bars
    assert "{time: 3/4}" in chordpro.write(Song(plain), ExportOptions()).decode()
