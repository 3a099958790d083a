"""When the lines of the lyrics are on a screen: what every kind of subtitles writes. Pure.

A line is shown `lead_sec` before it is sung, so that it can be read, but not while the line before it is still sung. It goes when its last
word ends. Times are whole units (milliseconds, centiseconds) of the file's own clock, to the nearest, so that what lies between two of
them adds up without an error that grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.song_map import LyricLine, SongMap
from tasks.export.lines import gaps_of, syllables_of, words_of


@dataclass(frozen=True, slots=True)
class Sung:
    """A syllable, or a word whose syllables are not known. gap: what stands between it and the next: a space after a word, or nothing."""

    start: int
    end: int
    text: str
    gap: str


@dataclass(frozen=True, slots=True)
class Cue:
    """A line. start: when it is shown. sung: its parts in order, none of which begins before `start` or ends after `end`."""

    start: int
    end: int
    text: str
    sung: tuple[Sung, ...]


def cues_of(song_map: SongMap, lead_sec: float, units_a_second: int) -> Iterator[Cue]:
    """The lines as they are shown, in order; each for one unit at least."""
    before = 0
    for line in song_map.lyrics:
        sung_from, end = (_units(time, units_a_second) for time in (line.start, line.end))
        start = min(max(_units(line.start - lead_sec, units_a_second), before), sung_from)
        end = max(end, start + 1)
        yield Cue(start, end, " ".join(line.text.split()), tuple(_sung(line, sung_from, end, units_a_second)))
        before = end


def _sung(line: LyricLine, start: int, end: int, units_a_second: int) -> Iterator[Sung]:
    reached = start
    for word, gap in zip(words_of(line), gaps_of(line), strict=True):
        syllables = syllables_of(word)
        for nth, syllable in enumerate(syllables):
            begun, over = (_units(time, units_a_second) for time in (syllable.start, syllable.end))
            begun = min(max(begun, reached), end)
            reached = min(max(over, begun), end)
            text = " ".join(syllable.text.split()) if len(syllables) == 1 else syllable.text
            yield Sung(begun, reached, text, gap if nth == len(syllables) - 1 else "")


def _units(time: float, units_a_second: int) -> int:
    return max(int(time * units_a_second + 0.5), 0)
