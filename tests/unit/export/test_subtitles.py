"""SRT, WebVTT and ASS as pysubs2, an independent reader, and FFmpeg understand them."""

from __future__ import annotations

import html
import io
import re
from itertools import pairwise
from pathlib import Path

import av
import pysubs2
import pytest
from odd_songs import SONGS, Maker, song_of

from tasks.export import ass, srt, vtt
from tasks.export.cues import cues_of
from tasks.export.lines import syllables_of, words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

WRITERS = {"srt": (srt.write, 1000), "vtt": (vtt.write, 1000), "ass": (ass.write, 100), "ass-steps": (ass.write_steps, 100)}
LEAD = 0.3


def read(kind: str, content: bytes) -> list[pysubs2.SSAEvent]:
    """Events as pysubs2 reads them; WebVTT as FFmpeg does, as pysubs2 takes two times in a line of text for those of a cue."""
    if kind != "vtt":
        return list(pysubs2.SSAFile.from_string(content.decode("utf-8"), format_=kind.partition("-")[0]))
    with av.open(io.BytesIO(content), format="webvtt") as container:
        packets = [packet for packet in container.demux() if packet.size]
        return [pysubs2.SSAEvent(packet.pts, packet.pts + packet.duration, bytes(packet).decode("utf-8")) for packet in packets]


def harmless(text: str) -> str:
    """Text in which all signs that a format may have replaced are one."""
    return re.sub(r"[{}()<>‹›\\∖→]|-->", "", text)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", SONGS)
def test_lines_come_out_as_they_went_in(kind: str, name: str) -> None:
    write, units = WRITERS[kind]
    song_map = song_of(name)
    events = read(kind, write(Song(song_map), ExportOptions(lead_sec=LEAD)))
    assert len(events) == len(song_map.lyrics)
    before = 0.0
    for event, line in zip(events, song_map.lyrics, strict=True):
        shown = html.unescape(re.sub(r"<[\d:.]+>", "", event.text)) if kind == "vtt" else event.plaintext if kind != "srt" else event.text
        assert harmless(shown) == harmless(line.text)
        assert abs(event.end / 1000 - line.end) <= 0.5 / units + 1e-6
        assert abs(event.start / 1000 - max(line.start - LEAD, before, 0.0)) <= 0.5 / units + 1e-6
        before = line.end


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", ["plain", "japanese", "breathless", "long"])
def test_ffmpeg_reads_as_many_lines(kind: str, name: str, tmp_path: Path) -> None:
    write, units = WRITERS[kind]
    file = tmp_path / f"song.{kind.partition('-')[0]}"
    file.write_bytes(write(Song(song_of(name)), ExportOptions(lead_sec=0)))
    with av.open(str(file)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        times = [float(packet.pts * packet.time_base) for packet in packets]
    for time, line in zip(times, song_of(name).lyrics, strict=True):
        assert abs(time - line.start) <= 0.5 / units + 1e-6


@pytest.mark.parametrize("kind", ["ass", "ass-steps"])
@pytest.mark.parametrize("name", SONGS)
def test_the_parts_of_a_line_of_karaoke_add_up_and_begin_where_they_are_sung(kind: str, name: str) -> None:
    write, _ = WRITERS[kind]
    song_map = song_of(name)
    for event, line in zip(read(kind, write(Song(song_map), ExportOptions())), song_map.lyrics, strict=True):
        pieces = re.findall(r"\{\\(kf?)(\d+)\}([^{]*)", event.text)
        assert sum(int(length) for _, length, _ in pieces) * 10 == event.end - event.start
        reached, begun = event.start / 1000, []
        for _, length, text in pieces:
            if text.strip():
                begun.append(reached)
            reached += int(length) / 100
        sung = [syllable for word in words_of(line) for syllable in syllables_of(word)]
        for time, syllable in zip(begun, sung, strict=True):
            assert abs(time - syllable.start) <= 0.005 + 1e-6


def test_karaoke_fills_or_lights_up() -> None:
    content = {kind: WRITERS[kind][0](Song(song_of("plain")), ExportOptions()).decode() for kind in ("ass", "ass-steps")}
    assert r"{\k30}{\kf29}Shi{\kf28}ning{\k2} {" in content["ass"]
    assert r"{\k30}{\k29}Shi{\k28}ning{\k2} {" in content["ass-steps"]
    assert r"\kf" not in content["ass-steps"]


@pytest.mark.parametrize("name", SONGS)
def test_the_words_of_webvtt_have_the_times_at_which_they_are_sung(name: str) -> None:
    song_map = song_of(name)
    text = vtt.write(Song(song_map), ExportOptions()).decode()
    assert text.startswith("WEBVTT ")
    for event, line in zip(read("vtt", text.encode()), song_map.lyrics, strict=True):
        times = [_seconds(*clock) for clock in re.findall(r"<(\d+):(\d\d):(\d\d\.\d{3})>", event.text)]
        assert all(earlier < later for earlier, later in pairwise([event.start / 1000, *times, event.end / 1000]))
        sung = [syllable.start for word in words_of(line) for syllable in syllables_of(word)]
        assert len(times) >= len(sung) - 1
        for time, start in zip(reversed(times), reversed(sung), strict=False):
            assert abs(time - start) <= 0.0005 + 1e-6


def _seconds(hours: str, minutes: str, seconds: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def test_the_lead_is_what_was_asked_for_and_never_covers_the_line_before() -> None:
    song = Maker(lines=((8, ["One"], 1.0), (9, ["Two"], 1.0), (20, ["Three"], 1.0))).make()
    for lead in (0.0, 0.3, 2.0):
        cues = list(cues_of(song, lead, 1000))
        assert [cue.end for cue in cues] == [round(line.end * 1000) for line in song.lyrics]
        wanted = [song.lyrics[0].start - lead, max(song.lyrics[0].end, song.lyrics[1].start - lead), song.lyrics[2].start - lead]
        assert [cue.start / 1000 for cue in cues] == pytest.approx(wanted, abs=0.001)


def test_what_is_sung_at_once_is_shown_at_once() -> None:
    song = Maker(first_sec=0.1, lines=((0, ["Go"], 1.0),)).make()
    assert [cue.start for cue in cues_of(song, 5.0, 1000)] == [0]


def test_nothing_in_the_words_is_taken_for_markup() -> None:
    song = Song(song_of("markup"))
    assert not any(re.search(r"</?[a-z]|\{", event.text) for event in read("srt", srt.write(song, ExportOptions())))
    assert "&lt;b&gt;bold&lt;/b&gt;" in vtt.write(song, ExportOptions()).decode()
    assert "--&gt; &amp;amp;" in re.sub(r"<[\d:.]+>", "", vtt.write(song, ExportOptions()).decode())
    for event in read("ass", ass.write(song, ExportOptions())):
        assert re.sub(r"\{\\kf?\d+\}", "", event.text).count("{") == 0
        assert "\\" not in re.sub(r"\{\\kf?\d+\}", "", event.text)
        assert event.plaintext.count("\n") == 0
