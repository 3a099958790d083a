"""A Song Map as the first Performia front end reads it: the view `first` of the HTTP API. Pure; nothing of it is read back.

That client has fields and habits of its own, which this view meets and the Song Map does not:

- Every field of `REQUIRED` is there, and `tempo.bpm_global` is a number: 0 where the song has no steady pulse.
- `lyrics` are words, syllables where they are known. It begins a line after a gap of more than `LINE_GAP_SEC` and knows no other sign of
  one, so the gap after a line's last word is made long enough; see `_lyrics`.
- It shows `chords[].label` as it stands: a display form (`Am7/C`). There is no entry where no chord sounds.
- It capitalises `sections[].label` and numbers nothing: `Verse 1`.
- It takes artist and title from the file's name in `provenance.source_path`, `Artist - Title.ext`. No path of a disk is given away.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Final

from schemas.song_map import Chord, LyricLine, Note, Section, SongMap

#: What the first JSON Schema requires.
REQUIRED: Final = (
    "id",
    "duration_sec",
    "tempo",
    "beats",
    "downbeats",
    "meter",
    "key",
    "chords",
    "sections",
    "lyrics",
    "performance",
    "provenance",
)

#: The client begins a line of lyrics after a gap of more than this (s).
LINE_GAP_SEC: Final = 1.0
#: What is made longer than that is so by a margin that no rounding takes away.
_CLEAR_GAP_SEC: Final = LINE_GAP_SEC + 0.01
#: A word that is shown for less than this is not seen.
_LEAST_WORD_SEC: Final = 0.1
#: Labels of chords that are none: no chord, and one that no label fits.
_NO_CHORDS: Final = ("N", "X")
#: Invisible, but parts of words and emoji: the joiners.
_JOINERS: Final = "\u200c\u200d"
_ENDING: Final = re.compile(r"\.[0-9A-Za-z]{1,8}")
#: The client parts a name at " - ", and takes what follows the last slash of a path. These look the same and are neither.
_NO_PARTS: Final = (" - ", " – ")
_LOOK_ALIKES: Final = str.maketrans({"/": "\u2215", "\\": "\u2216"})


def first_view(song_map: SongMap) -> dict[str, Any]:
    """The document of the view `first`, JSON-serialisable. Times in seconds, as in the map."""
    return {
        "id": song_map.id,
        "duration_sec": song_map.duration_sec,
        "tempo": {
            "bpm_global": song_map.tempo.bpm_global or 0.0,
            "curve": [list(point) for point in song_map.tempo.curve],
            "confidence": song_map.tempo.confidence,
        },
        "meter": {"numerator": song_map.meter.numerator, "denominator": song_map.meter.denominator},
        "beats": list(song_map.beats),
        "downbeats": list(song_map.downbeats),
        "key": [{"start": k.start, "end": k.end, "tonic": k.tonic, "mode": k.mode, "conf": k.conf} for k in song_map.key],
        "chords": [_chord(chord) for chord in song_map.chords if chord.label not in _NO_CHORDS],
        "sections": [_section(section) for section in song_map.sections],
        "lyrics": list(_lyrics(song_map.lyrics)),
        "performance": {
            "melody": [_note(note) for note in song_map.performance.melody],
            "bass": [_note(note) for note in song_map.performance.bass],
        },
        "provenance": {
            "source_path": source_path(song_map),
            "performia": song_map.provenance.performia,
            "created": song_map.provenance.created,
        },
    }


def source_path(song_map: SongMap) -> str:
    """`Artist - Title.ext` from the file's tags, `Title.ext` where they name no artist: what the client reads the two from.

    Without tags, the title is the file's name, which may well have that form itself, and keeps it.
    """
    tags = song_map.source.tags
    artist = _part(tags.artist or "").replace(*_NO_PARTS)
    title = _part(song_map.title)
    if artist or tags.title:
        title = title.replace(*_NO_PARTS)
    name = f"{artist} - {title}" if artist and title else title or artist or song_map.id
    # Without an ending of its own, the client would take the last words of "Mr. Moon" for one.
    ending = PurePath(song_map.source.file_name).suffix
    return name + (ending if _ENDING.fullmatch(ending) else f".{song_map.source.container.partition(',')[0]}")


def _part(text: str) -> str:
    """A text on one line, and no path."""
    plain = "".join(" " if unicodedata.category(character)[0] in "CZ" and character not in _JOINERS else character for character in text)
    return " ".join(plain.split()).translate(_LOOK_ALIKES)


def _chord(chord: Chord) -> dict[str, Any]:
    return {"start": chord.start, "end": chord.end, "label": chord.display, "conf": chord.conf}


def _section(section: Section) -> dict[str, Any]:
    return {"start": section.start, "end": section.end, "label": f"{section.label.capitalize()} {section.index}"}


def _note(note: Note) -> dict[str, Any]:
    return {"start": note.start, "end": note.end, "midi": note.midi, "conf": note.conf}


def _lyrics(lines: tuple[LyricLine, ...]) -> Iterator[dict[str, Any]]:
    """The words in order, with a gap after each line that the client sees.

    A line's last word ends early where it would otherwise reach too near to the next line. Where it would then be too short to be seen, it
    keeps its time, and an empty entry that ended long enough ago comes after it: the client compares neighbours only, and shows nothing
    for it.
    """
    entries = [list(_words(line)) for line in lines]
    entries = [words for words in entries if words]
    for words, following in pairwise(entries):
        last = words[-1]
        latest = round(following[0]["start"] - _CLEAR_GAP_SEC, 6)
        yield from words[:-1]
        if latest >= last["start"] + min(_LEAST_WORD_SEC, last["end"] - last["start"]):
            yield {**last, "end": min(last["end"], latest)}
        else:
            yield last
            ended = max(0.0, latest)
            yield {"start": ended, "end": ended, "text": "", "conf": last["conf"]}
    if entries:
        yield from entries[-1]


def _words(line: LyricLine) -> Iterator[dict[str, Any]]:
    """The entries of a line: its syllables, words where these are not known, the line where it has no words."""
    for word in line.words:
        if word.syllables:
            for syllable in word.syllables:
                yield {"start": syllable.start, "end": syllable.end, "text": syllable.text, "conf": word.conf}
        else:
            yield {"start": word.start, "end": word.end, "text": word.text, "conf": word.conf}
    if not line.words:
        yield {"start": line.start, "end": line.end, "text": line.text, "conf": line.conf}
