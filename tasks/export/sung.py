"""The lyrics on their melody: which notes each syllable is sung on. Pure.

A note belongs to the syllable that it sounds with longest, and keeps its own times. A syllable to which none belongs begins a note of the
same pitch within the one that sounds meanwhile; where none sounds, it is spoken. Notes with no syllable are hummed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.song_map import Note, SongMap
from tasks.export.lines import syllables_of, words_of

#: What a syllable has of a note that is not its own counts as sung on that pitch from this length on (s).
_LEAST_SEC: Final = 0.03


@dataclass(frozen=True, slots=True)
class Text:
    """A syllable. line: index of its line. part, parts: which of its word's syllables it is, from 0, and how many there are.

    after: what stands after it in its line: nothing within a word, mostly a space after one, and a line feed at the end of the line.
    start, end: s.
    """

    text: str
    after: str
    line: int
    part: int
    parts: int
    start: float
    end: float

    @property
    def ends_word(self) -> bool:
        return self.part == self.parts - 1


@dataclass(frozen=True, slots=True)
class SungNote:
    """A note of the song. start, end: s. midi: None where it is spoken.

    text: the syllable that begins with it; None where the one before goes on (`goes_on`), or nothing is sung on it.
    """

    start: float
    end: float
    midi: int | None
    text: Text | None
    goes_on: bool = False


def texts_of(song_map: SongMap) -> Iterator[Text]:
    """Every syllable of the lyrics in order; a word whose syllables are not known is one, and so is a line whose words are not."""
    for nth, line in enumerate(song_map.lyrics):
        words = words_of(line)
        space = "" if "".join(word.text for word in words) == line.text else " "  # Japanese has none between words
        for place, word in enumerate(words):
            parts = syllables_of(word)
            after = "\n" if place == len(words) - 1 else space
            for part, syllable in enumerate(parts):
                yield Text(syllable.text, after if part == len(parts) - 1 else "", nth, part, len(parts), syllable.start, syllable.end)


def sung_notes(song_map: SongMap) -> tuple[SungNote, ...]:
    """The notes of the melody with the syllables, in order; they do not overlap."""
    melody = song_map.performance.melody
    texts = list(texts_of(song_map))
    owners = _owners(melody, texts)
    own: dict[int, list[Note]] = {}
    for note, owner in zip(melody, owners, strict=True):
        if owner is not None:
            own.setdefault(owner, []).append(note)
    found = [SungNote(note.start, note.end, note.midi, None) for note, owner in zip(melody, owners, strict=True) if owner is None]
    for nth, text in enumerate(texts):
        notes = own.get(nth)
        if notes:
            found += [SungNote(note.start, note.end, note.midi, None if place else text, place > 0) for place, note in enumerate(notes)]
        else:
            found.append(_borrowed(melody, text))
    return _apart(sorted(found, key=lambda note: (note.start, note.text is None)))


def _owners(melody: Sequence[Note], texts: Sequence[Text]) -> list[int | None]:
    """For each note the index of its syllable."""
    found: list[int | None] = []
    first = 0
    for note in melody:
        while first < len(texts) and texts[first].end <= note.start:
            first += 1
        best, length = None, 0.0
        for nth in range(first, len(texts)):
            if texts[nth].start >= note.end:
                break
            together = min(note.end, texts[nth].end) - max(note.start, texts[nth].start)
            if together > length:
                best, length = nth, together
        found.append(best)
    return found


def _borrowed(melody: Sequence[Note], text: Text) -> SungNote:
    """A syllable that has no note of its own."""
    sounding = max(melody, key=lambda note: min(note.end, text.end) - max(note.start, text.start), default=None)
    if sounding is None or min(sounding.end, text.end) - max(sounding.start, text.start) < _LEAST_SEC:
        return SungNote(text.start, text.end, None, text)
    return SungNote(max(sounding.start, text.start), min(sounding.end, text.end), sounding.midi, text)


def _apart(notes: Sequence[SungNote]) -> tuple[SungNote, ...]:
    """The notes, each ending where the next one begins at the latest. Of two that begin together the one without text is left out."""
    found: list[SungNote] = []
    for note in notes:
        while found and found[-1].end > note.start:
            before = found.pop()
            if before.start < note.start:
                found.append(replace(before, end=note.start))
                break
            if note.text is not None and before.text is not None:  # both are sung: one after the other
                middle = (before.start + max(before.end, note.end)) / 2
                found.append(replace(before, end=middle))
                note = replace(note, start=middle, end=max(note.end, middle))
                break
            note = note if note.text is not None else replace(before, end=max(before.end, note.end))
        if note.end > note.start:
            found.append(note)
    return tuple(found)
