"""LRC, as FFmpeg reads it, and as the words are written: what goes in comes out, to half a hundredth of a second."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from odd_songs import SONGS, song_of

from tasks.export.lines import words_of
from tasks.export.lrc import write, write_words
from tasks.export.options import ExportOptions
from tasks.export.song import Song

CLOCK = r"(\d{2,}):(\d\d)\.(\d\d)"


def seconds(clock: tuple[str, ...]) -> float:
    return int(clock[0]) * 60 + int(clock[1]) + int(clock[2]) / 100


def read_by_ffmpeg(content: bytes, folder: Path) -> tuple[list[tuple[float, str]], dict[str, str]]:
    """[(time, text)] of what is not empty, and the tags."""
    file = folder / "song.lrc"
    file.write_bytes(content)
    with av.open(str(file), format="lrc") as container:
        packets = [packet for packet in container.demux() if packet.size]
        read = [(float(packet.pts * packet.time_base), bytes(packet).decode("utf-8").removesuffix("\n")) for packet in packets]
        return [(time, text) for time, text in read if text], dict(container.metadata)


def as_sung(text: str) -> str:
    return text.translate(str.maketrans("[]<>", "()()"))


@pytest.mark.parametrize("name", SONGS)
def test_ffmpeg_reads_the_lines_that_went_in(name: str, tmp_path: Path) -> None:
    song = Song(song_of(name))
    if not song.map.lyrics:  # FFmpeg takes a file without a line for none of its own
        assert re.search(rf"^\[{CLOCK}\]", write(song, ExportOptions()).decode(), re.MULTILINE) is None
        return
    read, _ = read_by_ffmpeg(write(song, ExportOptions()), tmp_path)
    assert [as_sung(text) for _, text in read] == [as_sung(line.text) for line in song.map.lyrics]
    for (time, _), line in zip(read, song.map.lyrics, strict=True):
        assert abs(time - line.start) <= 0.005 + 1e-6


def test_ffmpeg_reads_the_tags(tmp_path: Path) -> None:
    _, tags = read_by_ffmpeg(write(Song(song_of("japanese")), ExportOptions()), tmp_path)
    assert (tags["title"], tags["artist"]) == ("さくら", "日本古謡")


@pytest.mark.parametrize("name", SONGS)
def test_every_line_ends_and_no_time_runs_back(name: str) -> None:
    song_map = song_of(name)
    text = write(Song(song_map), ExportOptions()).decode()
    assert "offset" not in text
    found = [(seconds(clock), words) for *clock, words in re.findall(rf"^\[{CLOCK}\](.*)$", text, re.MULTILINE)]
    times = [time for time, _ in found]
    assert times == sorted(times)
    for nth, line in enumerate(song_map.lyrics):
        following = song_map.lyrics[nth + 1].start if nth + 1 < len(song_map.lyrics) else song_map.duration_sec + 1
        cleared = any(not words and abs(time - line.end) <= 0.005 + 1e-6 for time, words in found)
        assert cleared or following - line.end <= 0.01 + 1e-6


@pytest.mark.parametrize("name", SONGS)
def test_the_words_that_went_in_stand_after_their_times(name: str) -> None:
    song_map = song_of(name)
    text = write_words(Song(song_map), ExportOptions()).decode()
    lines = re.findall(rf"^\[{CLOCK}\](.+)$", text, re.MULTILINE)
    assert len(lines) == len(song_map.lyrics)
    for (*clock, written), line in zip(lines, song_map.lyrics, strict=True):
        assert abs(seconds(tuple(clock)) - line.start) <= 0.005 + 1e-6
        *pieces, end = re.findall(rf"<{CLOCK}>((?:(?!<\d{{2,}}:\d\d\.\d\d>).)*)", written)
        assert end[3] == ""
        assert abs(seconds(end[:3]) - line.end) <= 0.005 + 1e-6
        assert as_sung("".join(piece[3] for piece in pieces)) == as_sung(line.text)
        assert [as_sung(piece[3].strip()) for piece in pieces] == [as_sung(word.text) for word in words_of(line)]
        for piece, word in zip(pieces, words_of(line), strict=True):
            assert abs(seconds(piece[:3]) - word.start) <= 0.005 + 1e-6
