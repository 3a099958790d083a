"""Labels of Audacity, regions of Reaper, and the zip of everything."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
from odd_songs import SONGS, song_of

from schemas.song_folder import MAP_NAME
from schemas.song_map import SongMap
from tasks.export import audacity, reaper
from tasks.export.formats import FORMATS, format_named
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

OPTIONS = ExportOptions()


@pytest.mark.parametrize("name", SONGS)
def test_label_tracks_hold_what_the_map_holds(name: str) -> None:
    song_map = song_of(name)
    tracks = {
        track: [tuple(row.split("\t")) for row in content.decode().splitlines()]
        for track, content in audacity.files(Song(song_map), OPTIONS)
    }
    wanted = {
        "chords.txt": [(chord.start, chord.end, chord.display) for chord in song_map.chords],
        "words.txt": [(word.start, word.end, word.text) for line in song_map.lyrics for word in words_of(line)],
        "lines.txt": [(line.start, line.end, line.text) for line in song_map.lyrics],
    }
    for track, rows in wanted.items():
        assert tracks.get(track, []) == [(f"{start:.6f}", f"{end:.6f}", text) for start, end, text in rows]
    assert [float(start) for start, _, _ in tracks.get("beats.txt", [])] == list(song_map.beats)
    assert all(start == end for start, end, _ in tracks.get("beats.txt", []))
    assert len(tracks.get("sections.txt", [])) == len(song_map.sections)


def rows_of(song_map: SongMap) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(reaper.write(Song(song_map), OPTIONS).decode())))


def seconds(clock: str) -> float:
    minutes, rest = clock.split(":")
    return int(minutes) * 60 + float(rest)


@pytest.mark.parametrize("name", SONGS)
def test_regions_are_the_sections(name: str) -> None:
    song_map = song_of(name)
    regions = [row for row in rows_of(song_map) if row["#"].startswith("R")]
    assert len(regions) == len(song_map.sections)
    for region, section in zip(regions, song_map.sections, strict=True):
        assert abs(seconds(region["Start"]) - section.start) <= 0.0005 + 1e-6
        assert abs(seconds(region["End"]) - section.end) <= 0.0005 + 1e-6
        assert seconds(region["Length"]) == pytest.approx(seconds(region["End"]) - seconds(region["Start"]), abs=1e-6)


def test_markers_are_the_keys_and_meters() -> None:
    song_map = song_of("changing")
    markers = [(row["Name"], row["End"]) for row in rows_of(song_map) if row["#"].startswith("M")]
    assert markers == [("C minor", ""), ("4/4", ""), ("3/4", ""), ("C# major", ""), ("4/4", ""), ("7/8", ""), ("4/4", "")]
    assert not [row for row in rows_of(song_of("nothing")) if "/" in row["Name"]]


@pytest.mark.parametrize("name", ["plain", "nothing", "arabic"])
def test_the_zip_holds_the_map_and_every_export_but_sound(name: str) -> None:
    song = Song(song_of(name))
    with zipfile.ZipFile(io.BytesIO(format_named("zip").content(song, ExportOptions(transpose=2)))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert json.loads(archive.read(MAP_NAME))["id"] == song.map.id
        sheet = archive.read("song.cho")
    assert len(names) == len(set(names))
    assert sheet == format_named("chordpro").content(song, ExportOptions(transpose=2))
    single = [entry for entry in FORMATS.values() if not (entry.files or entry.sound or entry.needs_sound or entry.name == "zip")]
    assert {f"song{entry.suffix}" for entry in single} >= {one for one in names if one.startswith("song.")}
    assert {"song.lrc", "song.srt", "song.jams"} <= set(names)
