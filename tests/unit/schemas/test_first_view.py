"""The view of the first front end: what its type guard, its adapter and its header read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.first_view import LINE_GAP_SEC, REQUIRED, first_view
from schemas.song_map import SongMap

Document = dict[str, Any]
GOLDEN = Path(__file__).parent / "golden" / "first_view.json"
EXAMPLE = Path(__file__).parents[1] / "packager" / "golden" / "song_map.json"

_CONF = {"type": "number", "minimum": 0, "maximum": 1}
_TIME = {"type": "number", "minimum": 0}


def _objects(**fields: Any) -> Document:
    return {"type": "array", "items": {"type": "object", "required": list(fields), "properties": fields}}


_NOTES = _objects(start=_TIME, end=_TIME, midi={"type": "number"}, conf=_CONF)
#: The first JSON Schema, as DESIGN names its fields.
FIRST_SCHEMA = {
    "type": "object",
    "required": list(REQUIRED),
    "properties": {
        "id": {"type": "string"},
        "duration_sec": {"type": "number"},
        "tempo": {
            "type": "object",
            "required": ["bpm_global", "curve", "confidence"],
            "properties": {"bpm_global": {"type": "number"}, "curve": {"type": "array"}, "confidence": _CONF},
        },
        "meter": {"type": "object", "required": ["numerator", "denominator"]},
        "beats": {"type": "array", "items": _TIME},
        "downbeats": {"type": "array", "items": _TIME},
        "key": _objects(start=_TIME, end=_TIME, tonic={"type": "string"}, mode={"type": "string"}, conf=_CONF),
        "chords": _objects(start=_TIME, end=_TIME, label={"type": "string"}, conf=_CONF),
        "sections": _objects(start=_TIME, end=_TIME, label={"type": "string"}),
        "lyrics": _objects(start=_TIME, end=_TIME, text={"type": "string"}, conf=_CONF),
        "performance": {"type": "object", "required": ["melody", "bass"], "properties": {"melody": _NOTES, "bass": _NOTES}},
        "provenance": {"type": "object", "required": ["source_path"]},
    },
}


@pytest.fixture
def document() -> Document:
    found: Document = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return found


def view(document: Document) -> Document:
    """The view of a map, as it travels."""
    travelled: Document = json.loads(json.dumps(first_view(SongMap.from_json(json.dumps(document))), allow_nan=False))
    Draft202012Validator(FIRST_SCHEMA).validate(travelled)
    return travelled


def shown_lines(entries: list[Document]) -> list[str]:
    """The lines as the client shows them: a new one after a gap of more than a second between neighbours."""
    lines: list[list[str]] = []
    before: Document | None = None
    for entry in entries:
        if before is None or entry["start"] - before["end"] > LINE_GAP_SEC:
            lines.append([])
        lines[-1].append(entry["text"])
        before = entry
    return [" ".join(text for text in line if text) for line in lines]


def line(start: float, *words: tuple[float, float, str]) -> Document:
    """A line of words (start, end, text), from the line's start."""
    found = [{"start": start + begin, "end": start + end, "text": text, "conf": 0.5, "syllables": []} for begin, end, text in words]
    text = " ".join(word["text"] for word in found)
    return {"start": found[0]["start"], "end": found[-1]["end"], "text": text, "conf": 0.5, "words": found}


def test_the_view_of_the_golden_map_is_the_golden_one(document: Document) -> None:
    assert view(document) == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_a_song_without_a_pulse_has_the_tempo_0(document: Document) -> None:
    document["tempo"]["bpm_global"] = None
    assert view(document)["tempo"]["bpm_global"] == 0


def test_no_entry_says_that_there_is_no_chord(document: Document) -> None:
    assert [chord["label"] for chord in view(document)["chords"]] == ["Am7/C", "C#"]


def test_lines_far_apart_keep_all_their_times(document: Document) -> None:
    document["lyrics"] = [line(1.0, (0.0, 0.4, "far"), (0.5, 1.0, "apart")), line(4.0, (0.0, 1.0, "lines"))]
    assert [(entry["start"], entry["end"]) for entry in view(document)["lyrics"]] == [(1.0, 1.4), (1.5, 2.0), (4.0, 5.0)]


@pytest.mark.parametrize("gap", [0.0, 0.2, 0.99, 1.0])
@pytest.mark.parametrize("held", [0.05, 0.3, 2.5])
def test_a_line_ends_with_its_last_word_however_short_the_gap_is(document: Document, gap: float, held: float) -> None:
    second = 2.5 + held + gap
    document["lyrics"] = [line(2.0, (0.0, 0.4, "one"), (0.5, 0.5 + held, "line")), line(second, (0.0, 0.5, "and"), (0.5, 0.6, "another"))]
    entries = view(document)["lyrics"]
    assert shown_lines(entries) == ["one line", "and another"]
    assert [entry["start"] for entry in entries if entry["text"]] == pytest.approx([2.0, 2.5, second, second + 0.5])
    assert all(entry["start"] <= entry["end"] for entry in entries)


def test_lines_in_quick_succession_are_each_a_line(document: Document) -> None:
    document["lyrics"] = [line(3.0 + 0.6 * place, (0.0, 0.3, "quick"), (0.3, 0.5, f"{place}")) for place in range(8)]
    assert shown_lines(view(document)["lyrics"]) == [f"quick {place}" for place in range(8)]


def test_a_line_without_words_is_one_entry(document: Document) -> None:
    document["lyrics"] = [{"start": 1.0, "end": 2.0, "text": "la la la", "conf": 0.4, "words": []}]
    assert view(document)["lyrics"] == [{"start": 1.0, "end": 2.0, "text": "la la la", "conf": 0.4}]


@pytest.mark.parametrize(
    ("artist", "title", "file_name", "path"),
    [
        ("The Band", "Song", "01 track.flac", "The Band - Song.flac"),
        (None, "Song", "song.mp3", "Song.mp3"),
        ("AC/DC", "Hell - Bells", "a.ogg", "AC\u2215DC - Hell – Bells.ogg"),
        (None, "Mr. Moon", "moon", "Mr. Moon.mp3"),
        (None, "Moon", "1. Moon\n", "Moon.mp3"),
        ("A\r\nSet-Cookie: b", "..\\..\\x", "s.wav", "A Set-Cookie: b - ..\u2216..\u2216x.wav"),
        ("宇多田ヒカル", "First Love", "s.m4a", "宇多田ヒカル - First Love.m4a"),
    ],
)
def test_the_path_says_artist_and_title(document: Document, artist: str | None, title: str, file_name: str, path: str) -> None:
    document["source"]["tags"]["artist"] = artist
    document["source"]["file_name"] = file_name
    document["title"] = title
    assert view(document)["provenance"]["source_path"] == path


def test_a_file_without_tags_says_by_its_name_who_sings(document: Document) -> None:
    document["source"]["tags"].update(title=None, artist=None)
    document["source"]["file_name"] = "The Band - Moon.wav"
    document["title"] = "The Band - Moon"
    assert view(document)["provenance"]["source_path"] == "The Band - Moon.wav"


def test_a_partial_map_has_every_field(document: Document) -> None:
    bare = copy.deepcopy(document)
    bare.update(chords=[], sections=[], lyrics=[], key=[])
    bare["performance"].update(melody=[], bass=[])
    assert set(REQUIRED) == set(view(bare))
