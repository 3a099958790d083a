"""A song as it stands on a sheet: its sections, and in each the lines that are sung, with the chords over their letters, and the bars that
are played without words.

Pure. Every chord of the map is in one row, where it begins. Beside these, the first line of a section repeats the chord that sounds when
it begins, if that one began before the section.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from schemas.song_map import Bar, Chord, LyricLine, Section, SongMap, Syllable, Word

#: A voice comes in before the bar it belongs to, and is held into the next: bars count as without words with words in their last beat,
#: or in the first half of their first one.
_PICKUP_BEATS: Final = 1.0
_HELD_BEATS: Final = 0.5
#: Less than this many bars without words are a breath, no part of their own.
_LEAST_BARS: Final = 2
#: Without a pulse, what lasts this long without words (s) is such a part.
_LEAST_SEC: Final = 4.0
#: A chord further (s) from where a syllable begins stands after the word that is held.
_HELD_SEC: Final = 0.4
#: Times that are written to the microsecond.
_SAME_SEC: Final = 2e-6


@dataclass(frozen=True, slots=True)
class PlacedChord:
    """A chord over a line. word: index into `SungLine.words`; their number for a chord after the line.

    letter: the letter of the word it stands over, where a syllable begins; the length of the word's text for a chord after the word, while
    its last syllable is held.
    """

    chord: Chord
    word: int
    letter: int = 0


@dataclass(frozen=True, slots=True)
class SungLine:
    """A line of the lyrics, with the chords over it in order."""

    line: LyricLine
    chords: tuple[PlacedChord, ...]

    @property
    def words(self) -> tuple[Word, ...]:
        return words_of(self.line)


@dataclass(frozen=True, slots=True)
class PlayedBar:
    """A bar without words. chords: (beat, chord) in order, beats from 0; empty where the chord before it goes on.

    start, end: s. beats: how many it has; None for a passage without a pulse, in which each chord counts as a beat.
    """

    start: float
    end: float
    beats: int | None
    chords: tuple[tuple[float, Chord], ...]


@dataclass(frozen=True, slots=True)
class PlayedBars:
    """Bars without words that follow each other. sounding: the chord that sounds when they begin, where it began before them."""

    bars: tuple[PlayedBar, ...]
    sounding: Chord | None


@dataclass(frozen=True, slots=True)
class Part:
    """A section with what happens in it, in order; `section` is None where the song has no sections."""

    section: Section | None
    rows: tuple[SungLine | PlayedBars, ...]


def words_of(line: LyricLine) -> tuple[Word, ...]:
    """The words of a line; where their times are not known, the whole line as one."""
    return line.words or (Word(start=line.start, end=line.end, text=line.text, conf=line.conf, syllables=()),)


def syllables_of(word: Word) -> tuple[Syllable, ...]:
    """The syllables of a word; the whole word as one where they are not known."""
    return word.syllables or (Syllable(start=word.start, end=word.end, text=word.text),)


def gaps_of(line: LyricLine) -> tuple[str, ...]:
    """What follows each word in the line: a space; nothing where the line's own text has none, as in Japanese, and after the last."""
    words = words_of(line)
    joined = "".join(word.text for word in words)
    separator = "" if joined == line.text and len(words) > 1 else " "
    return (separator,) * (len(words) - 1) + ("",)


def parts_of(song_map: SongMap) -> tuple[Part, ...]:
    """The song's sections in order, with their rows. A line belongs to the section in which most of it is sung."""
    spans = _spans(song_map)
    found: list[Part] = []
    for place, (section, start, end, lines) in enumerate(spans):
        first, last = place == 0, place == len(spans) - 1
        chords = [
            chord
            for chord in song_map.chords
            if (first or chord.start >= start - _SAME_SEC) and (last or chord.start < end - _SAME_SEC)
        ]  # fmt: skip
        rows = _rows(song_map, start, end, lines, bool(chords))
        found.append(Part(section, _filled(song_map, rows, chords)))
    return tuple(found)


def chord_at(chords: Sequence[Chord], time: float) -> Chord | None:
    """The chord that sounds at a time."""
    place = bisect_right([chord.start for chord in chords], time + _SAME_SEC) - 1
    return chords[place] if place >= 0 and chords[place].end > time + _SAME_SEC else None


def place_of(line: LyricLine, time: float) -> tuple[int, int]:
    """Over which word and letter of a line a time is: where the nearest syllable begins, or after the word that is held meanwhile."""
    words = words_of(line)
    if time >= line.end - _SAME_SEC:
        return len(words), 0
    onsets = [
        (syllable.start, nth, sum(len(before.text) for before in syllables[:part]), part == len(syllables) - 1)
        for nth, word in enumerate(words)
        for syllables in [syllables_of(word)]
        for part, syllable in enumerate(syllables)
    ]
    nearest = min(onsets, key=lambda onset: abs(onset[0] - time))
    begun = [onset for onset in onsets if onset[0] <= time]
    if abs(nearest[0] - time) > _HELD_SEC and begun and begun[-1][3]:
        nth = begun[-1][1]
        return nth, len(words[nth].text)
    return nearest[1], nearest[2]


_SectionSpan = tuple[Section | None, float, float, tuple[LyricLine, ...]]


def _spans(song_map: SongMap) -> list[_SectionSpan]:
    """(section, start, end, lines): the song cut where sections begin, or the first of their lines begins earlier."""
    if not song_map.sections:
        return [(None, 0.0, song_map.duration_sec, song_map.lyrics)]
    starts = [section.start for section in song_map.sections]
    lines: list[list[LyricLine]] = [[] for _ in starts]
    place = 0
    for line in song_map.lyrics:
        place = max(place, bisect_right(starts, (line.start + line.end) / 2) - 1, 0)
        lines[place].append(line)
    cuts = [0.0]
    for nth in range(1, len(starts)):
        sung_until = max((line.end for line in song_map.lyrics[: sum(map(len, lines[:nth]))]), default=0.0)
        cuts.append(max(min([starts[nth], *(line.start for line in lines[nth][:1])]), sung_until, cuts[-1]))
    cuts.append(song_map.duration_sec)
    return [(section, start, end, tuple(own)) for section, (start, end), own in zip(song_map.sections, pairwise(cuts), lines, strict=True)]


_Row = LyricLine | tuple[PlayedBar, ...]


def _rows(song_map: SongMap, start: float, end: float, lines: Sequence[LyricLine], has_chords: bool) -> list[_Row]:
    """The lines of a section, and what is played between them, still without chords."""
    rows: list[_Row] = []
    edges = [start, *(edge for line in lines for edge in (line.start, line.end)), end]
    for nth in range(0, len(edges), 2):
        before_line = nth // 2 < len(lines)
        bars = _bars_between(song_map, edges[nth], edges[nth + 1], before_line, is_alone=not lines)
        if bars:
            rows.append(bars)
        if before_line:
            rows.append(lines[nth // 2])
    if not rows and has_chords:
        rows.append((PlayedBar(start, end, None, ()),))
    return rows


def _bars_between(song_map: SongMap, start: float, end: float, before_line: bool, is_alone: bool) -> tuple[PlayedBar, ...]:
    """The bars between two times that are played without words; none where they are too few to be a part of their own."""
    if not song_map.bars:
        return (PlayedBar(start, end, None, ()),) if end - start >= _LEAST_SEC and song_map.chords else ()
    found = [bar for bar in song_map.bars if _is_free(bar, start, end, before_line)]
    if len(found) < (1 if is_alone else _LEAST_BARS):
        return ()
    return tuple(PlayedBar(bar.start, bar.end, bar.beats, ()) for bar in found)


def _is_free(bar: Bar, start: float, end: float, before_line: bool) -> bool:
    beat = (bar.end - bar.start) / bar.beats
    # At its end a section is cut where the next one begins, which need not be at a bar to the microsecond.
    pickup = _PICKUP_BEATS if before_line else _HELD_BEATS
    return bar.start >= start - _HELD_BEATS * beat - _SAME_SEC and bar.end <= end + pickup * beat + _SAME_SEC


def _filled(song_map: SongMap, rows: Sequence[_Row], chords: Sequence[Chord]) -> tuple[SungLine | PlayedBars, ...]:
    """The rows of a section with its chords."""
    if not rows:
        return ()
    own: list[list[Chord]] = [[] for _ in rows]
    for chord in chords:
        own[_row_of(rows, chord.start)].append(chord)
    filled: list[SungLine | PlayedBars] = []
    for nth, (row, begun) in enumerate(zip(rows, own, strict=True)):
        if isinstance(row, LyricLine):
            placed = [PlacedChord(chord, *place_of(row, chord.start)) for chord in begun]
            sounding = chord_at(song_map.chords, row.start)
            begins_with_chord = any((other.word, other.letter) == (0, 0) for other in placed)
            if nth == 0 and sounding is not None and sounding not in chords and not begins_with_chord:
                placed.insert(0, PlacedChord(sounding, 0, 0))
            filled.append(SungLine(row, tuple(placed)))
        else:
            sounding = chord_at(song_map.chords, row[0].start)
            filled.append(PlayedBars(_with_chords(song_map, row, begun), None if sounding in begun else sounding))
    return tuple(filled)


def _row_of(rows: Sequence[_Row], time: float) -> int:
    """The row a chord belongs to that begins at a time: the bars it begins in, or else the line, or else the nearest row.

    Bars that are over give it to what follows: singers come in a little after the beat.
    """

    def distance(nth: int) -> tuple[float, bool, int]:
        start, end = _edges(rows[nth])
        is_line = isinstance(rows[nth], LyricLine)
        if start - _SAME_SEC <= time < end - _SAME_SEC:
            return 0.0, is_line, -nth
        is_over = time >= end - _SAME_SEC and not is_line and nth < len(rows) - 1
        return math.inf if is_over else max(start - time, time - end, _SAME_SEC), is_line, -nth

    return min(range(len(rows)), key=distance)


def _edges(row: _Row) -> tuple[float, float]:
    return (row.start, row.end) if isinstance(row, LyricLine) else (row[0].start, row[-1].end)


def _with_chords(song_map: SongMap, bars: Sequence[PlayedBar], chords: Sequence[Chord]) -> tuple[PlayedBar, ...]:
    starts = [bar.start for bar in bars]
    own: list[list[Chord]] = [[] for _ in bars]
    for chord in chords:
        own[max(bisect_right(starts, chord.start + _SAME_SEC) - 1, 0)].append(chord)
    return tuple(
        PlayedBar(
            bar.start,
            bar.end,
            bar.beats,
            tuple((float(nth) if bar.beats is None else _beat_in(song_map, bar, chord.start), chord) for nth, chord in enumerate(begun)),
        )
        for bar, begun in zip(bars, own, strict=True)
    )


def _beat_in(song_map: SongMap, bar: PlayedBar, time: float) -> float:
    """The beat of a bar at a time, from 0, between two beats by the time between them; never beyond the bar's last beat."""
    assert bar.beats is not None
    first = bisect_right(song_map.beats, bar.start + _SAME_SEC) - 1
    beats = [*song_map.beats[first : first + bar.beats], bar.end]
    place = bisect_right(beats, time + _SAME_SEC) - 1
    if place < 0:
        return 0.0
    if place >= len(beats) - 1:
        return float(bar.beats - 1)
    since = max(time - beats[place], 0.0) / (beats[place + 1] - beats[place])
    return place + (since if since > 1e-4 else 0.0)
