"""MusicXML, validated by its schema and read by partitura: what goes in comes out, on the grid of the beats.

The schema is version 3.1's, which partitura carries: what the writer uses is the same in 4.0.
"""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from odd_songs import SONGS, VERSE, Maker, song_of

from tasks.export.grid import QUARTER, grid_of
from tasks.export.headings import headings
from tasks.export.lines import words_of
from tasks.export.musicxml import write
from tasks.export.options import ExportOptions
from tasks.export.song import Song

#: Songs whose syllables were made on halves, thirds and quarters of a beat, or near them.
ON_THE_GRID = ["plain", "pickup", "waltz", "six_eight", "changing", "japanese", "arabic", "no_chords"]
#: What the schema takes from two others, which lie on the web.
STUBS = {
    "xml.xsd": '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/XML/1998/namespace">'
    '<xs:attribute name="lang" type="xs:language"/><xs:attribute name="space" type="xs:NCName"/></xs:schema>',
    "xlink.xsd": '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="http://www.w3.org/1999/xlink">'
    + "".join(f'<xs:attribute name="{name}" type="xs:string"/>' for name in ("href", "type", "role", "title", "show", "actuate"))
    + "</xs:schema>",
}


class Stubs(etree.Resolver):
    def resolve(self, url: str, public_id: str, context: Any) -> Any:
        name = url.rpartition("/")[2]
        return self.resolve_string(STUBS[name], context) if name in STUBS else None


@cache
def schema() -> etree.XMLSchema:
    spec = importlib.util.find_spec("partitura")
    assert spec is not None
    assert spec.origin is not None
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Stubs())
    return etree.XMLSchema(etree.parse(Path(spec.origin).parent / "assets" / "musicxml.xsd", parser))


def content_of(song_map: Any) -> bytes:
    return write(Song(song_map), ExportOptions())


@cache
def tree(name: str) -> Any:
    return etree.fromstring(content_of(song_of(name)), etree.XMLParser(no_network=True, load_dtd=False))


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """The part of a song, as partitura reads it."""
    import partitura

    def reading(song_map: Any) -> Any:
        file = tmp_path / "song.musicxml"
        file.write_bytes(content_of(song_map))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (part,) = partitura.load_musicxml(file).parts
        return part

    return reading


def meters_and_lengths(name: str) -> list[tuple[str, int, int]]:
    """Of each bar: number, the length of its meter, the length of what is in it (both in divisions)."""
    found = []
    beats = beat_type = divisions = 0
    for measure in tree(name).iter("measure"):
        divisions = int(measure.findtext("attributes/divisions") or divisions)
        beats = int(measure.findtext("attributes/time/beats") or beats)
        beat_type = int(measure.findtext("attributes/time/beat-type") or beat_type)
        length = sum(int(note.findtext("duration")) for note in measure.iter("note"))
        found.append((measure.get("number"), beats * 4 * divisions // beat_type, length))
    return found


@pytest.mark.parametrize("name", SONGS)
def test_it_is_valid(name: str) -> None:
    assert schema().validate(tree(name)), schema().error_log
    assert tree(name).get("version") == "4.0"


def test_the_schema_finds_what_is_not() -> None:
    bad = content_of(song_of("plain")).replace(b"<voice>1</voice>", b"<voice>1</voice><voice>1</voice>", 1)
    assert not schema().validate(etree.fromstring(bad))


@pytest.mark.parametrize("name", SONGS)
def test_every_bar_is_full(name: str) -> None:
    first, *bars = meters_and_lengths(name)
    assert all(meter == length for _, meter, length in bars)
    assert first[2] <= first[1]
    assert (first[0] == "0") == (first[2] < first[1])
    assert [int(number) for number, _, _ in (first, *bars)] == list(range(int(first[0]), int(first[0]) + 1 + len(bars)))


def melody_of(name: str) -> list[tuple[float, int]]:
    """(onset in quarter notes from the first full bar, MIDI pitch) of the notes, tied ones as one."""
    steps = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    found = []
    now = zero = 0
    for measure in tree(name).iter("measure"):
        if measure.get("number") == "1":
            zero = now
        for note in measure.iter("note"):
            pitch = note.find("pitch")
            if pitch is not None and all(tie.get("type") != "stop" for tie in note.iter("tie")):
                midi = 12 * (int(pitch.findtext("octave")) + 1) + steps[pitch.findtext("step")] + int(pitch.findtext("alter") or 0)
                found.append((now, midi))
            now += int(note.findtext("duration"))
    return [((at - zero) / 48, midi) for at, midi in found]


@pytest.mark.parametrize("name", ON_THE_GRID)
def test_the_melody_comes_out_on_the_grid(name: str) -> None:
    song_map = song_of(name)
    grid = grid_of(song_map, from_zero=False)
    zero = grid.tick(song_map.downbeats[0])
    melody = melody_of(name)
    assert [midi for _, midi in melody] == [note.midi for note in song_map.performance.melody]
    for (at, _), heard in zip(melody, song_map.performance.melody, strict=True):
        # an eighth of a beat is half of what the finest division here leaves between two places
        assert at == pytest.approx((grid.tick(heard.start) - zero) / QUARTER, abs=0.126)


@pytest.mark.slow  # partitura takes four seconds to load
@pytest.mark.parametrize("name", ON_THE_GRID)
def test_partitura_reads_the_same_melody(name: str, read: Any) -> None:
    notes = read(song_of(name)).note_array()
    assert [int(note["pitch"]) for note in notes] == [midi for _, midi in melody_of(name)]
    assert [float(note["onset_quarter"]) for note in notes] == pytest.approx([at for at, _ in melody_of(name)], abs=1e-5)


@pytest.mark.slow  # as above
@pytest.mark.parametrize("name", ON_THE_GRID)
def test_partitura_reads_the_same_chords_and_meters(name: str, read: Any) -> None:
    import partitura

    part = read(song_of(name))
    assert len(list(part.iter_all(partitura.score.Harmony, include_subclasses=True))) == len(list(tree(name).iter("harmony")))
    meters = [(int(time.findtext("beats")), int(time.findtext("beat-type"))) for time in tree(name).iter("time")]
    assert [(meter.beats, meter.beat_type) for meter in part.time_sigs] == meters


@pytest.mark.parametrize("name", SONGS)
def test_the_words_come_out_in_any_script(name: str) -> None:
    words: list[str] = []
    within = False
    for lyric in tree(name).iter("lyric"):
        for syllabic, text in zip(lyric.findall("syllabic"), lyric.findall("text"), strict=True):
            assert within == (syllabic.text in ("middle", "end"))
            words = [*words[:-1], words[-1] + text.text] if within else [*words, text.text]
            within = syllabic.text in ("begin", "middle")
    assert words == [word.text for line in song_of(name).lyrics for word in words_of(line)]


@pytest.mark.parametrize("name", SONGS)
def test_chords_sections_and_keys_come_out(name: str) -> None:
    song_map = song_of(name)
    shown = []
    for harmony in tree(name).iter("harmony"):
        kind = harmony.find("kind")
        accidental = {"1": "#", "-1": "b", None: ""}
        root = harmony.findtext("root/root-step") + accidental[harmony.findtext("root/root-alter")] if kind.text != "none" else ""
        bass = harmony.findtext("bass/bass-step")
        shown.append(root + kind.get("text") + (f"/{bass}{accidental[harmony.findtext('bass/bass-alter')]}" if bass else ""))
    played = [chord.display for chord in song_map.chords]
    assert shown == played[: len(shown)]
    assert set(played[len(shown) :]) <= {"N.C."}  # nothing is played after the last bar
    assert [mark.text for mark in tree(name).iter("rehearsal")] == list(headings(song_map.sections))
    keys = [(int(key.findtext("fifths")), key.findtext("mode")) for key in tree(name).iter("key")]
    assert [mode for _, mode in keys] == [key.mode for key in song_map.key]
    assert tree(name).findtext("work/work-title") == song_map.title
    assert tree(name).findtext("identification/creator") == song_map.source.tags.artist


def test_keys_and_meters_change_at_their_bars() -> None:
    found = [(measure.get("number"), key.findtext("fifths")) for measure in tree("changing").iter("measure") for key in measure.iter("key")]
    assert found == [("1", "-3"), ("6", "7")]
    meters = [
        (measure.get("number"), f"{time.findtext('beats')}/{time.findtext('beat-type')}")
        for measure in tree("changing").iter("measure")
        for time in measure.iter("time")
    ]
    assert meters == [("1", "4/4"), ("4", "3/4"), ("6", "4/4"), ("8", "7/8"), ("9", "4/4")]


def test_a_pickup_is_a_bar_before_the_first_one() -> None:
    assert melody_of("pickup")[0][0] == -1
    assert meters_and_lengths("pickup")[0][:2] == ("0", 4 * 48)


def test_a_chord_within_a_note_has_an_offset() -> None:
    (offset,) = [harmony.find("offset") for harmony in tree("changing").iter("harmony") if harmony.find("kind").get("text") == ""][1:2]
    assert offset is None or int(offset.text) > 0
    measure = next(measure for measure in tree("changing").iter("measure") if measure.get("number") == "2")
    at = 0
    places = []
    for element in measure:
        if element.tag == "harmony":
            places.append((at + int(element.findtext("offset") or 0), element.findtext("root/root-step")))
        elif element.tag == "note":
            at += int(element.findtext("duration"))
    assert places == [(72, "A")]  # beat 5.5: an eighth after the second beat of the second bar


def changed(change: Any) -> Any:
    def changes(document: dict[str, Any]) -> None:
        document["performance"]["melody"] = change(document["performance"]["melody"])
        document["performance"]["parts"]["melody"] = None

    return etree.fromstring(content_of(Maker(lines=VERSE, changes=changes).make()))


def test_a_syllable_without_a_note_is_spoken() -> None:
    root = changed(lambda melody: melody[1:])
    first = next(note for note in root.iter("note") if note.find("lyric") is not None)
    assert first.find("unpitched") is not None
    assert first.findtext("notehead") == "x"
    assert schema().validate(root), schema().error_log


def test_a_long_note_is_tied_over_the_bar_line() -> None:
    root = changed(lambda melody: [*melody[:-1], melody[-1] | {"end": 16.0}])
    tied = [[tie.get("type") for tie in note.iter("tie")] for note in root.iter("note") if note.find("tie") is not None]
    first = max(nth for nth, kinds in enumerate(tied) if kinds == ["start"])
    assert tied[first + 1 :] == [["stop", "start"]] * (len(tied) - first - 2) + [["stop"]]
    bars = [measure for measure in root.iter("measure") if measure.find("note/tie") is not None]
    assert len(bars) >= 2


def test_a_low_voice_is_written_an_octave_higher_than_it_sounds() -> None:
    low = changed(lambda melody: [note | {"midi": note["midi"] - 14} for note in melody])
    assert low.findtext(".//clef/clef-octave-change") == "-1"
    assert tree("plain").find(".//clef/clef-octave-change") is None


def test_triplets_are_bracketed_by_the_beat() -> None:
    lines = ((4, [("one", "two", "three"), "four"], 1 / 3),)
    song_map = Maker(lines=lines).make()
    root = etree.fromstring(content_of(song_map))
    triplets = [note for note in root.iter("note") if note.find("time-modification") is not None]
    assert [note.findtext("type") for note in triplets[:3]] == ["eighth"] * 3
    assert [tuplet.get("type") for tuplet in root.iter("tuplet")][:2] == ["start", "stop"]
    assert schema().validate(root), schema().error_log


def test_a_sheet_without_a_pulse_says_so() -> None:
    assert tree("no_pulse").findtext(".//words").startswith("No steady pulse")
    assert tree("plain").find(".//words") is None


def test_characters_that_xml_has_no_place_for_are_replaced() -> None:
    song_map = Maker(title="Bell\x07").make()
    assert etree.fromstring(content_of(song_map)).findtext("work/work-title") == "Bell\ufffd"
