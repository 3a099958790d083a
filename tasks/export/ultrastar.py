"""UltraStar: a karaoke game's song, version 1.2.0 of its format (https://usdx.eu/format/), for one voice.

A note stands at GAP + beat · 60 / (4 · BPM). The BPM is the song's tempo, doubled until a beat is at most 19 ms, no two notes begin on the
same one, and none is shorter; every note is rounded once, to the BPM and GAP that are written, so that none is more than 10 ms off. Pitch 0
is C4.

| | |
| --- | --- |
| `:` | a syllable on its note; `~` as text where it goes on with another |
| `*` | golden: the longest note of each line in a chorus |
| `F` | free: a syllable that no note was heard for |
| `-` | the end of a line |

What is hummed between the words is left out, and so are duets. The file belongs beside the sound that `#AUDIO` names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from schemas.song_map import SongMap, SongStem
from tasks.common.errors import ExportNeedsSound, ExportNothingToWrite
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sung import SungNote, sung_notes

_VERSION: Final = "1.2.0"
#: A beat is at most 60 / (4 · 800) s, 18.75 ms. Where there is no tempo, or one that no song has, it is 15 ms.
_LEAST_BPM: Final = 800.0
_BPM: Final = 1000.0
_TEMPI: Final = (20.0, 500.0)
#: Beyond this, notes that begin together are set one after the other: no voice sings one within 2 ms.
_MOST_BPM: Final = 8000.0
_MIDDLE_C: Final = 60
_GOES_ON: Final = "~"
#: What a syllable that is written like it becomes.
_TILDE: Final = "∼"
#: English names, as ISO 639-2 has them.
_LANGUAGES: Final = {
    "af": "Afrikaans", "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "ga": "Irish", "gl": "Galician", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ko": "Korean", "la": "Latin", "lt": "Lithuanian", "lv": "Latvian",
    "nl": "Dutch", "nn": "Norwegian", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian",
    "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "th": "Thai", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
_STEMS: Final[tuple[tuple[str, SongStem], ...]] = (("VOCALS", "vocals"), ("INSTRUMENTAL", "instrumental"))


def write(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """The song. Raises ExportNothingToWrite where it has no words."""
    notes = [note for note in sung_notes(song.map) if note.text or note.goes_on]
    if not notes:
        raise ExportNothingToWrite("The song has no words that could be sung in UltraStar")
    clock = _clock(song.map, notes)
    lines = [*_head(song, clock), *_body(song.map, notes, clock), "E"]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class _Clock:
    """bpm: as it is written. gap: ms."""

    bpm: float
    gap: int

    def beat(self, time: float) -> int:
        """The beat nearest to a time (s)."""
        return max(round((time - self.gap / 1000) * 4 * self.bpm / 60), 0)


def _clock(song_map: SongMap, notes: Sequence[SungNote]) -> _Clock:
    tempo = song_map.tempo.bpm_global
    bpm = round(tempo, 3) if tempo is not None and _TEMPI[0] <= tempo <= _TEMPI[1] else _BPM
    gap = round(notes[0].start * 1000)
    while bpm < _LEAST_BPM or (bpm < _MOST_BPM and not _keeps_apart(_Clock(bpm, gap), notes)):
        bpm *= 2
    return _Clock(round(bpm, 3), gap)


def _keeps_apart(clock: _Clock, notes: Sequence[SungNote]) -> bool:
    """Whether no two notes begin on one beat, and none is shorter than one."""
    beats = [clock.beat(note.start) for note in notes]
    return len(set(beats)) == len(beats) and all(clock.beat(note.end) > beat for note, beat in zip(notes, beats, strict=True))


def _head(song: Song, clock: _Clock) -> Iterator[str]:
    tags = song.map.source.tags
    audio = PurePath(song.map.source.file_name.replace("\\", "/")).name
    chorus = next((section for section in song.map.sections if section.label == "chorus"), None)
    year = re.search(r"(?<!\d)\d{4}(?!\d)", tags.date or "")
    for name, value in (
        ("VERSION", _VERSION),
        ("TITLE", song.map.title),
        ("ARTIST", song.artist or "Unknown"),
        ("MP3", audio),
        ("AUDIO", audio),
        *((header, _stem(song, stem)) for header, stem in _STEMS),
        ("BPM", f"{clock.bpm:.3f}".rstrip("0").rstrip(".")),
        ("GAP", str(clock.gap)),
        ("LANGUAGE", _LANGUAGES.get(song.map.voice.language or "")),
        ("GENRE", tags.genre),
        ("YEAR", year[0] if year else None),
        ("PREVIEWSTART", f"{chorus.start:.3f}" if chorus else None),
        ("CREATOR", "Performia"),
    ):
        if value and (shown := " ".join(value.split())):
            yield f"#{name}:{shown}"


def _stem(song: Song, name: SongStem) -> str | None:
    """The path of a stem, if it is there."""
    try:
        path = song.stem(name)
    except ExportNeedsSound:
        return None
    return path.relative_to(song.folder).as_posix() if song.folder else None


def _body(song_map: SongMap, notes: Sequence[SungNote], clock: _Clock) -> Iterator[str]:
    golden = _golden(song_map, notes)
    free = 0  # the first beat that no note is on
    space, line = "", -1
    for nth, note in enumerate(notes):
        start = max(clock.beat(note.start), free)
        following = clock.beat(notes[nth + 1].start) if nth + 1 < len(notes) else None
        end = max(clock.beat(note.end), start + 1)
        if following is not None and start < following < end:
            end = following
        if note.text is not None:
            if note.text.line != line and line >= 0:
                yield f"- {free}"
            line = note.text.line
        kind = "F" if note.midi is None else "*" if nth in golden else ":"
        pitch = 0 if note.midi is None else note.midi - _MIDDLE_C
        yield f"{kind} {start} {end - start} {pitch} {_text(note, space)}"
        space = note.text.after.rstrip("\n") if note.text is not None else space
        free = end


def _text(note: SungNote, space: str) -> str:
    """What is written on a note. space: what the syllable before left to be said before the next one."""
    if note.text is None:
        return _GOES_ON
    shown = " ".join(note.text.text.split())
    return space + (shown if shown.strip(_GOES_ON) else _TILDE * max(len(shown), 1))


def _golden(song_map: SongMap, notes: Sequence[SungNote]) -> set[int]:
    """Indices of the longest note with a pitch in each line of a chorus."""
    longest: dict[int, int] = {}
    line = -1
    for nth, note in enumerate(notes):
        line = note.text.line if note.text is not None else line
        if note.midi is None or not _in_chorus(song_map, note):
            continue
        if line not in longest or note.end - note.start > notes[longest[line]].end - notes[longest[line]].start:
            longest[line] = nth
    return set(longest.values())


def _in_chorus(song_map: SongMap, note: SungNote) -> bool:
    return any(section.label == "chorus" and section.start <= note.start < section.end for section in song_map.sections)
