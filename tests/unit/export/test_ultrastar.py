"""UltraStar, as a reader of its specification reads it: every syllable within 10 ms of where it is sung."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from odd_songs import SONGS, VERSE, Maker, song_of
from ultrastar_reader import ReadSong, read_ultrastar

from tasks.common.errors import ExportNothingToWrite
from tasks.export.lines import words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sung import sung_notes
from tasks.export.ultrastar import write

SUNG = [name for name in SONGS if song_of(name).lyrics]


def read(song: Song | str) -> ReadSong:
    return read_ultrastar(write(Song(song_of(song)) if isinstance(song, str) else song, ExportOptions()))


@pytest.mark.parametrize("name", SUNG)
def test_no_note_is_more_than_ten_milliseconds_off(name: str) -> None:
    sung = [note for note in sung_notes(song_of(name)) if note.text or note.goes_on]
    found = read(name).notes
    assert len(found) == len(sung)
    for note, heard in zip(found, sung, strict=True):
        assert note.start == pytest.approx(heard.start, abs=0.01)
        assert note.end == pytest.approx(heard.end, abs=0.01)
        assert note.kind == "F" if heard.midi is None else note.pitch == heard.midi - 60


@pytest.mark.parametrize("name", SUNG)
def test_the_lines_come_out_in_any_script(name: str) -> None:
    song_map = song_of(name)
    space = "" if song_map.voice.language == "ja" else " "
    lines = ["".join(note.text for note in phrase if note.text != "~") for phrase in read(name).phrases]
    assert lines == [space.join(word.text for word in words_of(line)).replace("~", "∼") for line in song_map.lyrics]


@pytest.mark.parametrize("name", SUNG)
def test_the_head_says_what_song_it_is(name: str) -> None:
    song_map = song_of(name)
    headers = read(name).headers
    assert headers["VERSION"] == "1.2.0"
    assert headers["TITLE"] == " ".join(song_map.title.split())
    assert headers["ARTIST"] == (song_map.source.tags.artist or "Unknown")
    assert headers["MP3"] == headers["AUDIO"] == Path(song_map.source.file_name).name


def test_languages_have_their_english_names() -> None:
    assert [read(name).headers.get("LANGUAGE") for name in ("plain", "japanese", "arabic")] == ["English", "Japanese", "Arabic"]


@pytest.mark.parametrize("name", ["instrumental", "nothing"])
def test_a_song_without_words_is_no_song_of_the_game(name: str) -> None:
    with pytest.raises(ExportNothingToWrite):
        read(name)


def test_what_a_syllable_goes_on_with_is_a_tilde_of_its_line() -> None:
    def split(document: dict[str, Any]) -> None:
        melody = document["performance"]["melody"]
        middle = (melody[1]["start"] + melody[1]["end"]) / 2
        melody[1:2] = [melody[1] | {"end": middle}, melody[1] | {"start": middle, "midi": 72}]
        document["performance"]["parts"]["melody"] = None

    notes = read(Song(Maker(lines=VERSE, changes=split).make())).notes
    assert [(note.text, note.pitch) for note in notes[:4]] == [("Shi", 0), ("ning", 2), ("~", 12), (" ri", 4)]


def test_the_longest_note_of_each_line_of_a_chorus_is_golden() -> None:
    song_map = song_of("plain")
    phrases = read("plain").phrases
    (chorus,) = [section for section in song_map.sections if section.label == "chorus"]
    for phrase in phrases:
        golden = [note for note in phrase if note.kind == "*"]
        assert len(golden) == (chorus.start <= phrase[0].start + 0.01 < chorus.end)
        # all of a line's notes were made equally long but for 20 ms at the end of words
        assert all(note.end - note.start >= max(other.end - other.start for other in phrase) - 0.03 for note in golden)


def test_syllables_that_no_note_was_heard_for_are_free() -> None:
    def silent(document: dict[str, Any]) -> None:
        document["performance"]["melody"] = []
        document["performance"]["parts"]["melody"] = None

    notes = read(Song(Maker(lines=VERSE, changes=silent).make())).notes
    assert {note.kind for note in notes} == {"F"}
    assert len(notes) == sum(len(word.syllables) or 1 for line in song_of("plain").lyrics for word in line.words)


def test_the_tempo_is_the_songs_by_octaves() -> None:
    ratio = float(read("waltz").headers["BPM"]) / 140
    assert ratio in (8, 16)
    assert float(read("no_pulse").headers["BPM"]) == 1000


def test_notes_too_fast_for_a_beat_get_a_finer_one() -> None:
    lines = ((8, [f"w{nth}" for nth in range(30)], 0.02),)  # a note each 12 ms
    found = read(Song(Maker(lines=lines, changes=_short_words).make())).notes
    assert len({note.start for note in found}) == 30
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(found))


def _short_words(document: dict[str, Any]) -> None:
    """Words that end where the next begins: 20 ms before would be before they begin."""
    words = document["lyrics"][0]["words"]
    notes = document["performance"]["melody"]
    for nth, (word, note) in enumerate(zip(words, notes, strict=True)):
        word["end"] = note["end"] = words[nth + 1]["start"] if nth + 1 < len(words) else round(word["start"] + 0.012, 6)
    document["lyrics"][0]["end"] = words[-1]["end"]
    document["voice"]["activity"] = []


def test_the_stems_that_are_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "stems").mkdir()
    for stem in song_of("plain").stems:
        if stem.path and stem.name != "vocals":
            (tmp_path / stem.path).write_bytes(b"")
    headers = read(replace(Song(song_of("plain")), folder=tmp_path)).headers
    assert headers["INSTRUMENTAL"] == "stems/instrumental.wav"
    assert "VOCALS" not in headers


def test_a_date_gives_a_year() -> None:
    def dated(document: dict[str, Any]) -> None:
        document["source"]["tags"]["date"] = "12/03/1987"

    assert read(Song(Maker(lines=VERSE, changes=dated).make())).headers["YEAR"] == "1987"


def test_the_reader_refuses_what_is_no_song() -> None:
    good = write(Song(song_of("plain")), ExportOptions()).decode()
    for bad in (
        good.replace("#BPM", "#TEMPO"),
        good.replace("\nE\n", "\n"),
        good.replace("\nE\n", "\n- 99999\nE\n"),
        re.sub(r"^: (\d+) \d+", r": \1 9999", good, count=1, flags=re.MULTILINE),
        good.replace("#GAP", "GAP"),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            read_ultrastar(bad.encode())
