"""The song sheet, and the fingerings on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from browser import BROWSER
from odd_songs import SONGS, Maker, song_of

from tasks.common.harmony import harte, spelling
from tasks.export import sheet
from tasks.export.chord_box import box_of
from tasks.export.fingering import GUITAR, UKULELE, fingering
from tasks.export.lines import SungLine, parts_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

QUALITIES = ("maj", "min", "7", "maj7", "min7", "dim", "aug", "hdim7", "dim7", "sus4", "sus2", "maj6", "9", "min9", "minmaj7")


class Read(HTMLParser):
    """What a browser sees: text by the class of its element, and the tags that are open at the end."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.lines: list[str] = []
        self.chords: list[str] = []
        self.headings: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "path", "circle"):
            self.open.append(f"{tag}.{dict(attrs).get('class', '')}")
        if ("class", "l") in attrs:
            self.lines.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "circle"):
            assert self.open.pop().startswith(f"{tag}.")

    def handle_data(self, data: str) -> None:
        if "b." in self.open or "p.g" in self.open:
            self.chords += [data] if self.open[-1] == "bdi." else []
        elif "span.p" in self.open:
            self.lines[-1] += data
        elif self.open and self.open[-1] == "h2.":
            self.headings.append(data)


def read(name: str, **options: int) -> Read:
    return Read(sheet.write(Song(song_of(name)), ExportOptions(**options)).decode("utf-8"))


@pytest.mark.parametrize("name", SONGS)
def test_every_line_is_there_and_nothing_in_it_is_taken_for_markup(name: str) -> None:
    found = read(name)
    assert found.open == []
    assert [line.rstrip("\xa0") for line in found.lines] == [line.text for line in song_of(name).lyrics]
    assert found.tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "p",
        "bdi",
        "main",
        "h2",
        "span",
        "b",
        "section",
    } | {
        "svg",
        "text",
        "path",
        "circle",
    }


@pytest.mark.parametrize("name", ["plain", "pickup", "changing", "no_pulse", "instrumental"])
def test_every_chord_is_there_in_order(name: str) -> None:
    shown = read(name).chords
    wanted = [chord.display for chord in song_of(name).chords if chord.root]
    rest = iter(shown)
    assert all(any(chord == other for other in rest) for chord in wanted)


def test_a_chord_stands_over_its_syllable() -> None:
    text = sheet.write(Song(song_of("plain")), ExportOptions()).decode()
    assert "<b><bdi>G7sus4</bdi></b>ver again" in text


def test_sections_capo_and_boxes_are_named() -> None:
    found = read("plain", capo=3)
    assert found.headings == ["Intro", "Verse", "Chorus", "Outro", "Guitar", "Ukulele"]
    text = sheet.write(Song(song_of("plain")), ExportOptions(capo=3)).decode()
    assert "A major · 100 bpm · 4/4 · capo 3" in text
    assert 'aria-label="A: x 0 2 2 2 0"' in text


@pytest.mark.parametrize(
    ("label", "guitar", "ukulele"),
    [
        ("C:maj", "x32010", "0003"),
        ("G:maj", "320003", "0232"),
        ("D:maj", "xx0232", "2220"),
        ("A:min", "x02210", "2000"),
        ("E:min", "022000", "0402"),
        ("F:maj", "133211", "2010"),
        ("B:7", "x21202", "2322"),
        ("C:7", "x32310", "0001"),
        ("G:7", "320001", "0212"),
    ],
)
def test_the_shapes_are_those_that_beginners_learn(label: str, guitar: str, ukulele: str) -> None:
    for tuning, shape in ((GUITAR, guitar), (UKULELE, ukulele)):
        box = box_of(label, label, tuning)
        assert box is not None
        assert f': {" ".join(shape)}"' in box


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("tuning", [GUITAR, UKULELE], ids=["guitar", "ukulele"])
def test_a_fingering_sounds_the_chord_and_nothing_else(quality: str, tuning: tuple[int, ...]) -> None:
    for root in range(12):
        notes = tuple(dict.fromkeys((root + tone) % 12 for tone in harte.tones(quality)))
        found = fingering(notes, root, tuning)
        if found is None:
            assert len(notes) > len(tuning)  # five notes on four strings
            continue
        sounding = [note + fret for note, fret in zip(tuning, found, strict=True) if fret is not None]
        assert {note % 12 for note in sounding} <= set(notes)
        assert set(notes) - {note % 12 for note in sounding} <= ({(root + 7) % 12} if len(notes) > 3 else set())
        assert tuning is UKULELE or min(sounding) % 12 == root
        assert max(fret for fret in found if fret is not None) - min([fret for fret in found if fret] or [0]) <= 3


def test_a_chord_over_another_bass_has_it_below() -> None:
    found = fingering((0, 4, 7), 4, GUITAR)
    assert found is not None
    sounding = [note + fret for note, fret in zip(GUITAR, found, strict=True) if fret is not None]
    assert sounding[0] % 12 == spelling.pitch_class("E")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("verses", [1, 4, 10])
def test_a_song_prints_to_one_or_two_pages(verses: int) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    words = ["walking", "down", "the", "road", "to", "where", "the", "river", "bends"]
    lines = tuple((8 + 4 * nth, words, 0.4) for nth in range(8 * verses))
    labels = ("C:maj", "A:min7", "F:maj", "G:7", "D:min", "E:7", "Bb:maj7", "C:maj/3")
    chords = tuple((4 * nth, labels[nth % 8]) for nth in range(8 * verses + 4))
    sections = ((0, "intro", "A"), *((8 + 32 * nth, "verse", "B") for nth in range(verses)))
    song = Maker(meters=((4, 4, 8 * verses + 4),), lines=lines, chords=chords, sections=sections).make()
    assert sum(isinstance(row, SungLine) for part in parts_of(song) for row in part.rows) == 8 * verses
    with playwright.sync_playwright() as play, play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"]) as browser:
        page = browser.new_page()
        page.set_content(sheet.write(Song(song), ExportOptions()).decode())
        printed = page.pdf(prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 2
