"""Files in which what was heard is moved by hand in another program: label tracks of Audacity, and LRC. Pure.

A label track is lines of `start<TAB>end<TAB>text` (s), as Audacity, Sonic Visualiser and Tony write them. LRC is `[mm:ss.xx]text`, with
`<mm:ss.xx>` before words in its enhanced form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from schemas import song_map as m
from tasks.common.errors import CorrectionsInvalid
from tasks.common.note_names import note_name

Of = Literal["words", "chords", "sections", "beats", "melody", "bass", "harmony"]
KINDS: Final[tuple[Of, ...]] = get_args(Of)

_STAMP: Final = re.compile(r"\[(\d{1,4}):(\d{1,2}(?:[.:]\d{1,3})?)\]")
_WORD_STAMP: Final = re.compile(r"<(\d{1,4}):(\d{1,2}(?:[.:]\d{1,3})?)>")
_OFFSET: Final = re.compile(r"\[offset:\s*([+-]?\d+)\s*\]", re.IGNORECASE)
_TAG: Final = re.compile(r"\[[A-Za-z#]+:[^\]]*\]")
#: Longer songs are none.
_LONGEST_SEC: Final = 86_400.0


@dataclass(frozen=True)
class Label:
    """A text from start to end (s); a point where they are the same."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class TimedLine:
    """A line of lyrics. words: (start in s, or None where only the line has a time; text)."""

    start: float
    words: tuple[tuple[float | None, str], ...]


def labels_of(song: m.SongMap, of: Of) -> list[Label]:
    """What the map has, as labels. Beats are points that say their place in the bar, 1 being the one."""
    if of == "words":
        return [Label(word.start, word.end, word.text) for line in song.lyrics for word in line.words]
    if of == "chords":
        return [Label(chord.start, chord.end, chord.display) for chord in song.chords]
    if of == "sections":
        return [Label(section.start, section.end, section.label) for section in song.sections]
    if of == "beats":
        return [Label(time, time, str(place)) for time, place in zip(song.beats, positions(song), strict=True)]
    return [Label(note.start, note.end, note_name(note.midi)) for note in getattr(song.performance, of)]


def positions(song: m.SongMap) -> list[int]:
    """The place of each beat in its bar; those before the first bar are counted back from it."""
    ones = set(song.downbeats)
    found, place = [], 0
    first = next((index for index, time in enumerate(song.beats) if time in ones), 0)
    usual = song.meter.numerator
    for index, time in enumerate(song.beats):
        place = 1 if time in ones else place + 1
        found.append(place if index >= first else (index - first) % usual + 1)
    return found


def written(labels: Iterable[Label]) -> str:
    """A label track."""
    return "".join(f"{label.start:.6f}\t{label.end:.6f}\t{' '.join(label.text.split())}\n" for label in labels)


def read_labels(text: str) -> list[Label]:
    """The labels of a track, in the order of their times. Raises CorrectionsInvalid, which says in which line."""
    found = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):  # Audacity: the range of frequencies of the label before
            continue
        fields = line.split("\t")
        if len(fields) < 2:
            raise CorrectionsInvalid(f"Line {number} is no label: {line[:60]!r}", "A label is: start, tab, end, tab, text")
        start, end = _seconds(fields[0], number), _seconds(fields[1], number)
        if end < start:
            raise CorrectionsInvalid(f"Line {number}: the label ends before it begins")
        found.append(Label(start, end, " ".join("\t".join(fields[2:]).split())))
    if not found:
        raise CorrectionsInvalid("The file has no labels")
    return sorted(found, key=lambda label: (label.start, label.end))


def _seconds(text: str, number: int) -> float:
    try:
        # Where a comma is the decimal point, Audacity writes one.
        seconds = float(text.strip().replace(",", "."))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_SEC:
        raise CorrectionsInvalid(f"Line {number}: {text.strip()[:40]!r} is no time in seconds")
    return seconds


def is_lrc(text: str) -> bool:
    """Whether a text is LRC rather than a label track."""
    return _STAMP.search(text) is not None


def read_lrc(text: str) -> list[TimedLine]:
    """The lines of an LRC file, in the order of their times. A line with several times is sung at each. Raises CorrectionsInvalid."""
    offset = _OFFSET.search(text)
    # A positive offset lets the lyrics come earlier.
    earlier = int(offset[1]) / 1000 if offset else 0.0
    found = []
    for line in text.lstrip("\ufeff").splitlines():
        stamps = []
        rest = line.strip()
        while stamp := _STAMP.match(rest):
            stamps.append(_time(stamp) - earlier)
            rest = rest[stamp.end() :].lstrip()
        if stamps and not _TAG.fullmatch(rest):
            words = _words(rest, earlier)
            found += [TimedLine(max(0.0, start), words if len(stamps) == 1 else _untimed(words)) for start in stamps]
    if not any(line.words for line in found):
        raise CorrectionsInvalid("The file has no line of lyrics with a time", "A line of LRC is: [mm:ss.xx] and the words")
    return sorted((line for line in found if line.words), key=lambda line: line.start)


def _words(text: str, earlier: float) -> tuple[tuple[float | None, str], ...]:
    found: list[tuple[float | None, str]] = []
    at = 0
    time: float | None = None
    for stamp in (*_WORD_STAMP.finditer(text), None):
        piece = text[at : stamp.start() if stamp else len(text)].split()
        found += [(time if place == 0 else None, word) for place, word in enumerate(piece)]
        if stamp:
            at, time = stamp.end(), max(0.0, _time(stamp) - earlier)
    return tuple(found)


def _untimed(words: Sequence[tuple[float | None, str]]) -> tuple[tuple[float | None, str], ...]:
    return tuple((None, word) for _, word in words)


def _time(stamp: re.Match[str]) -> float:
    return 60.0 * int(stamp[1]) + float(stamp[2].replace(":", "."))
