"""The picture of a song along its time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from schemas.song_map import SongMap
from tasks.packager.timeline import timeline_svg

GOLDEN = Path(__file__).parent / "golden" / "timeline.svg"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_the_picture_is_the_golden_one(join: Callable[..., SongMap]) -> None:
    assert timeline_svg(join()) == GOLDEN.read_text(encoding="utf-8")


def test_it_names_sections_chords_and_times(join: Callable[..., SongMap]) -> None:
    song_map = join()
    shown = texts(timeline_svg(song_map))
    assert {"sections", "chords", "beats", "melody", "bass", "lyrics", "0:00"} <= set(shown)
    assert f"{song_map.sections[0].label} {song_map.sections[0].index}" in shown


def test_an_empty_song_has_a_picture_too(join: Callable[..., SongMap]) -> None:
    empty: dict[str, Any] = {"sections": (), "chords": (), "beats": (), "downbeats": (), "lyrics": (), "duration_sec": 0.0}
    bare = join().model_copy(update={**empty, "performance": join().performance.model_copy(update={"melody": (), "bass": ()})})
    assert ElementTree.fromstring(timeline_svg(bare)).tag.endswith("svg")


@pytest.mark.parametrize("title", ["<script>alert(1)</script>", "a & b \"c\" 'd'", "\x00\x1b[31m\ud800", "مرحبا" * 40, "x" * 5000, ""])
def test_any_title_is_only_a_text(join: Callable[..., SongMap], title: str) -> None:
    svg = timeline_svg(join().model_copy(update={"title": title}))
    root = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "title", "rect", "path", "text"}
    assert not re.search(r'(href|src|on\w+)="', svg)
    svg.encode("utf-8")


def test_half_an_hour_of_music_stays_small_and_inside_the_frame(join: Callable[..., SongMap]) -> None:
    song_map = join()
    note, chord, line = song_map.performance.melody[0], song_map.chords[0], song_map.lyrics[0]
    seconds = 1800.0
    notes = tuple(note.model_copy(update={"start": i * 0.3, "end": i * 0.3 + 0.2, "midi": 50 + i % 30}) for i in range(6000))
    long = song_map.model_copy(
        update={
            "duration_sec": seconds,
            "beats": tuple(i * 0.5 for i in range(3600)),
            "downbeats": tuple(i * 2.0 for i in range(900)),
            "chords": tuple(chord.model_copy(update={"start": i * 1.0, "end": i + 1.0}) for i in range(1800)),
            "lyrics": tuple(line.model_copy(update={"start": i * 3.0, "end": i * 3.0 + 2, "text": "la " * 30}) for i in range(600)),
            "performance": song_map.performance.model_copy(update={"melody": notes, "bass": notes}),
        }
    )
    svg = timeline_svg(long)
    assert len(svg) < 400_000
    assert max(float(x) for x in re.findall(r"M([\d.]+) ", svg)) <= 1188.0
