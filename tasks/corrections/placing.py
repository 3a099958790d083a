"""Where a correction belongs in a map. Pure.

Another analysis may hear words otherwise or later; another decode begins some milliseconds off.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from schemas import corrections as c
from schemas import song_map as m
from tasks.corrections.outcome import Conflict, clock

T = TypeVar("T", bound=BaseModel)

#: Beats of two decodes of a song are nearer to each other than this (s), and so is what one says of the other.
_NEAR_BEAT_SEC: Final = 0.12
#: A decode that begins by less than this elsewhere (s) cannot be told from one that does not.
_LEAST_OFFSET_SEC: Final = 0.003
#: With fewer beats, or with beats that disagree by more (s), nothing is said of the offset.
_LEAST_BEATS: Final = 4
_AGREE_SEC: Final = 0.015
#: So far may the same word be from where it was (s); and a word that is heard otherwise, between the same neighbours.
_WORD_SEC: Final = 2.0
_OTHER_WORD_SEC: Final = 0.6
#: Share of the neighbours that must be the same for a word that is heard otherwise.
_SAME_NEIGHBOURS: Final = 0.5
#: How much a second of distance counts, against one for the word itself.
_PER_SEC: Final = 0.8


def plain(text: str) -> str:
    """A word without case, accents and punctuation; as it is where nothing else would be left."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(character for character in decomposed if character.isalnum())
    return bare or text.strip()


# --- another decode of the same song ---------------------------------------------------------------------------------------------------


def clock_offset(heard: Iterable[Sequence[float]], times: Sequence[float]) -> float:
    """By how much another decode begins later (s), from beats of the one in those of the other; 0 where they do not tell.

    heard: beats of the decode that the corrections were made on. times: those of this one, in order.
    """
    known = sorted({time for some in heard for time in some})
    found = []
    for time in known:
        place = bisect_left(times, time)
        near = min(times[max(0, place - 1) : place + 1], key=lambda other: abs(other - time), default=None)
        if near is not None and abs(near - time) <= _NEAR_BEAT_SEC:
            found.append(near - time)
    if len(found) < max(_LEAST_BEATS, len(known) / 2):
        return 0.0
    middle = median(found)
    agree = median(abs(difference - middle) for difference in found)
    return round(middle, 6) if agree <= _AGREE_SEC and abs(middle) >= _LEAST_OFFSET_SEC else 0.0


def set_beside(value: T, offset: float) -> T:
    """A change with its times as they are in a decode that begins `offset` later (s)."""
    if not offset:
        return value
    changes: dict[str, Any] = {}
    for name in type(value).model_fields:
        held = getattr(value, name)
        if name in c.TIME_FIELDS:
            changes[name] = _later(held, offset)
        elif isinstance(held, BaseModel):
            changes[name] = set_beside(held, offset)
        elif name == "beats" and isinstance(held, tuple):
            changes[name] = tuple((_later(time, offset), position) for time, position in held)
        elif isinstance(held, tuple) and held and isinstance(held[0], BaseModel):
            changes[name] = tuple(set_beside(item, offset) for item in held)
        elif name == "heard" and held:
            changes[name] = _later(held, offset)
    return value.model_copy(update=changes)


def _later(value: Any, offset: float) -> Any:
    if isinstance(value, tuple):
        return tuple(_later(item, offset) for item in value)
    return max(0.0, round(value + offset, 6)) if isinstance(value, float | int) else value


# --- words -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoundWord:
    """Where a word is. line, place: of the line, and of the word in it. as_heard: whether it is the word that was meant."""

    line: int
    place: int
    word: m.Word
    as_heard: bool


def find_word(lines: Sequence[m.LyricLine], at: c.WordAt, now: str | None = None) -> FoundWord:
    """The word that a correction means. now: what it makes of it, which may be heard already. Raises Conflict."""
    words = [(line, place, word) for line, whole in enumerate(lines) for place, word in enumerate(whole.words)]
    texts = [plain(word.text) for _, _, word in words]
    own, made = plain(at.text), plain(now) if now else None
    best: tuple[float, int, bool] | None = None
    for index, (_, _, word) in enumerate(words):
        far = abs(word.start - at.time)
        if far > _WORD_SEC:
            continue
        beside = _same_beside(texts, index, at)
        same = texts[index] in (own, made)
        near = far <= _OTHER_WORD_SEC, beside >= _SAME_NEIGHBOURS
        # What the word was made of may be sung elsewhere too: it is this one where it stands here, or between the same words.
        if texts[index] != own and not (any(near) if same else all(near)):
            continue
        score = 2.0 * same + beside - _PER_SEC * far
        if best is None or score > best[0]:
            best = (score, index, same)
    if best is None:
        raise Conflict(f"no word like {at.text!r} is heard near {clock(at.time)}")
    line, place, word = words[best[1]]
    return FoundWord(line, place, word, best[2])


def _same_beside(texts: Sequence[str], index: int, at: c.WordAt) -> float:
    """Share of the neighbours that are there, each where it was or one further; 1 for a word that had none."""
    pairs = [(index - step, text) for step, text in enumerate(reversed(at.before), start=1)]
    pairs += [(index + step, text) for step, text in enumerate(at.after, start=1)]
    if not pairs:
        return 1.0
    near = [{texts[k] for k in range(max(0, place - 1), min(len(texts), place + 2)) if k != index} for place, _ in pairs]
    return sum(plain(text) in there for there, (_, text) in zip(near, pairs, strict=True)) / len(pairs)


def word_at(lines: Sequence[m.LyricLine], line: int, place: int) -> c.WordAt:
    """A word as a correction names it."""
    words = [word for whole in lines for word in whole.words]
    index = sum(len(whole.words) for whole in lines[:line]) + place
    return c.WordAt(
        time=words[index].start,
        text=words[index].text,
        before=tuple(word.text for word in words[max(0, index - 3) : index]),
        after=tuple(word.text for word in words[index + 1 : index + 4]),
    )


# --- spans -----------------------------------------------------------------------------------------------------------------------------


def overlap(start: float, end: float, other_start: float, other_end: float) -> float:
    """How much two spans have in common, as a share of both together."""
    common = min(end, other_end) - max(start, other_start)
    return max(0.0, common) / max(max(end, other_end) - min(start, other_start), 1e-9)


def find_note(notes: Sequence[m.Note], at: c.NoteAt, now: int | None = None) -> tuple[int, bool]:
    """Index of the note that a correction means, and whether its pitch is as it was. now: the pitch it makes of it. Raises Conflict."""
    best: tuple[float, int, bool] | None = None
    for index, note in enumerate(notes):
        same = note.midi in (at.midi, now)
        shared = overlap(note.start, note.end, at.start, at.end)
        near = abs(note.start - at.start)
        if not ((same and near <= 0.3) or (shared >= 0.4 and abs(note.midi - at.midi) <= 12)):
            continue
        score = 1.0 * same + shared - near
        if best is None or score > best[0]:
            best = (score, index, same)
    if best is None:
        raise Conflict(f"no such note is heard near {clock(at.start)}")
    return best[1], best[2]


def find_section(sections: Sequence[m.Section], at: c.SectionAt) -> int:
    """Index of the section that has most in common with the one that is meant. Raises Conflict."""
    best = max(range(len(sections)), key=lambda k: overlap(sections[k].start, sections[k].end, at.start, at.end), default=None)
    if best is None or overlap(sections[best].start, sections[best].end, at.start, at.end) < 0.5:
        raise Conflict(f"no section is heard from {clock(at.start)} to {clock(at.end)}")
    return best
