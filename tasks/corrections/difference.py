"""In what two Song Maps of a song differ, as a musician would say it. Pure.

Words, chords and beats are compared by what they are and when, never by their numbers, so that one more word is one difference. What lies
nearer than two analyses differ by chance is the same: 20 ms of a beat, 50 ms of a word, 150 ms of a section.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from statistics import median
from typing import Final, Literal

from schemas import song_map as m
from tasks.common.harmony import harte
from tasks.common.note_names import note_name
from tasks.corrections.chords import same_chord
from tasks.corrections.outcome import clock
from tasks.corrections.placing import overlap, plain

What = Literal[
    "song", "title", "artist", "length", "tempo", "meter", "beats", "downbeats", "key", "chord", "section", "word", "line", "note"
]

BEAT_SEC: Final = 0.02
WORD_SEC: Final = 0.05
SECTION_SEC: Final = 0.15
NOTE_SEC: Final = 0.05
#: A piece of a chord that is shorter was cut at a beat that lies a little elsewhere (s).
CHORD_SEC: Final = 0.1
#: A beat of the one has its like in the other within this (s).
_SAME_BEAT_SEC: Final = 0.07


@dataclass(frozen=True)
class Difference:
    """what: of which kind. at: when in the first map (s); None for the song as a whole. before, after: None where there is none."""

    what: What
    at: float | None
    before: str | None
    after: str | None


def differences(one: m.SongMap, other: m.SongMap) -> list[Difference]:
    """Everything in which the second map differs from the first, in the order of kinds and times. How the analyses went is not compared."""
    return [
        *_whole(one, other),
        *_beats(one, other),
        *_keys(one, other),
        *_chords(one.chords, other.chords),
        *_sections(one.sections, other.sections),
        *_words(one.lyrics, other.lyrics),
        *_notes(one.performance, other.performance),
    ]


def _whole(one: m.SongMap, other: m.SongMap) -> Iterator[Difference]:
    if one.id != other.id:
        yield Difference("song", None, one.id, other.id)
    if abs(one.duration_sec - other.duration_sec) > 1e-3:
        yield Difference("length", None, clock(one.duration_sec), clock(other.duration_sec))
    if one.title != other.title:
        yield Difference("title", None, one.title, other.title)
    if one.source.tags.artist != other.source.tags.artist:
        yield Difference("artist", None, one.source.tags.artist, other.source.tags.artist)
    before, after = one.tempo.bpm_global, other.tempo.bpm_global
    if (before is None) != (after is None) or (before and after and abs(before - after) > 0.005 * before):
        yield Difference("tempo", None, _bpm(before), _bpm(after))
    meters = [[(span.start, f"{span.numerator}/{span.denominator}") for span in song.meter.changes] for song in (one, other)]
    if [name for _, name in meters[0]] != [name for _, name in meters[1]]:
        yield Difference("meter", None, *(", ".join(name for _, name in spans) or None for spans in meters))


def _bpm(bpm: float | None) -> str | None:
    return None if bpm is None else f"{bpm:.4g} bpm"


def _beats(one: m.SongMap, other: m.SongMap) -> Iterator[Difference]:
    what: What
    for what, before, after in (("beats", one.beats, other.beats), ("downbeats", one.downbeats, other.downbeats)):
        pairs = [(time, near) for time in before if (near := _nearest(after, time)) is not None and abs(near - time) <= _SAME_BEAT_SEC]
        shift = median(near - time for time, near in pairs) if pairs else 0.0
        moved = sum(abs(near - time) > BEAT_SEC for time, near in pairs)
        if len(pairs) < max(len(before), len(after)):
            same = f", {len(pairs)} of them the same" if pairs else ""
            yield Difference(what, None, str(len(before)), f"{len(after)}{same}")
        elif abs(shift) > BEAT_SEC:
            yield Difference(what, None, str(len(before)), f"all {1000 * shift:+.0f} ms")
        elif moved:
            first = next(time for time, near in pairs if abs(near - time) > BEAT_SEC)
            yield Difference(what, first, str(len(before)), f"{moved} of them elsewhere")


def _nearest(times: Sequence[float], time: float) -> float | None:
    place = bisect_left(times, time)
    return min(times[max(0, place - 1) : place + 1], key=lambda other: abs(other - time), default=None)


def _keys(one: m.SongMap, other: m.SongMap) -> Iterator[Difference]:
    before, after = ([(key.start, key.end, f"{key.tonic} {key.mode}") for key in song.key] for song in (one, other))
    for start, _, was, now in _pieces(before, after, SECTION_SEC):
        if was != now:
            yield Difference("key", start, was, now)


def _chords(before: Sequence[m.Chord], after: Sequence[m.Chord]) -> Iterator[Difference]:
    held, given = ([(chord.start, chord.end, chord.label) for chord in chords] for chords in (before, after))
    for start, _, was, now in _pieces(held, given, CHORD_SEC):
        if was is None or now is None or not same_chord(was, now):
            yield Difference("chord", start, was and harte.display(was), now and harte.display(now))


def _pieces(
    before: Sequence[tuple[float, float, str]], after: Sequence[tuple[float, float, str]], least_sec: float
) -> Iterator[tuple[float, float, str | None, str | None]]:
    """(start, end, text before, text after) of every piece in which neither changes; neighbours with the same two are one."""
    marks = sorted({time for start, end, _ in (*before, *after) for time in (start, end)})
    found: list[tuple[float, float, str | None, str | None]] = []
    places = [0, 0]
    for start, end in pairwise(marks):
        if end - start < least_sec:
            continue
        texts: list[str | None] = []
        for which, spans in enumerate((before, after)):
            while places[which] < len(spans) and spans[places[which]][1] <= start:
                places[which] += 1
            at = spans[places[which]] if places[which] < len(spans) else None
            texts.append(at[2] if at is not None and at[0] <= start < at[1] else None)
        if found and found[-1][2:] == tuple(texts):
            found[-1] = (found[-1][0], end, texts[0], texts[1])
        else:
            found.append((start, end, texts[0], texts[1]))
    yield from found


def _sections(before: Sequence[m.Section], after: Sequence[m.Section]) -> Iterator[Difference]:
    free = list(range(len(after)))
    for section in before:
        best = max(free, key=lambda k: overlap(section.start, section.end, after[k].start, after[k].end), default=None)
        if best is None or overlap(section.start, section.end, after[best].start, after[best].end) < 0.5:
            yield Difference("section", section.start, _span(section), None)
            continue
        free.remove(best)
        now = after[best]
        moved = max(abs(section.start - now.start), abs(section.end - now.end)) > SECTION_SEC
        if moved or section.label != now.label:
            yield Difference("section", section.start, _span(section), _span(now))
    for place in free:
        yield Difference("section", after[place].start, None, _span(after[place]))


def _span(section: m.Section) -> str:
    return f"{section.label} {clock(section.start)} to {clock(section.end)}"


def _words(before: Sequence[m.LyricLine], after: Sequence[m.LyricLine]) -> Iterator[Difference]:
    held, given = ([word for line in lines for word in line.words] for lines in (before, after))
    matcher = SequenceMatcher(None, [plain(word.text) for word in held], [plain(word.text) for word in given], autojunk=False)
    for what, a1, a2, b1, b2 in matcher.get_opcodes():
        if what == "equal":
            for word, now in zip(held[a1:a2], given[b1:b2], strict=True):
                if word.text != now.text:
                    yield Difference("word", word.start, word.text, now.text)
                if max(abs(word.start - now.start), abs(word.end - now.end)) > WORD_SEC:
                    yield Difference("word", word.start, _sung(word), _sung(now))
        else:
            start = held[a1].start if a1 < a2 else given[b1].start
            yield Difference("word", start, _texts(held[a1:a2]), _texts(given[b1:b2]))
    firsts = [{id(line.words[0]) for line in lines if line.words} for lines in (before, after)]
    same = [(block.a + step, block.b + step) for block in matcher.get_matching_blocks() for step in range(1, block.size)]
    for place, there in same:  # words whose neighbour before is the same one too
        begins = id(held[place]) in firsts[0], id(given[there]) in firsts[1]
        if begins[0] != begins[1]:
            yield Difference("line", held[place].start, *map(_begins, begins))


def _begins(begins: bool) -> str:
    return "a line begins" if begins else "no line begins"


def _sung(word: m.Word) -> str:
    return f"{word.text} {clock(word.start)} to {clock(word.end)}"


def _texts(words: Sequence[m.Word]) -> str | None:
    return " ".join(word.text for word in words) or None


def _notes(before: m.Performance, after: m.Performance) -> Iterator[Difference]:
    for part in ("melody", "bass", "harmony"):
        held, given = list(getattr(before, part)), list(getattr(after, part))
        for note in held:
            there = [k for k, now in enumerate(given) if overlap(note.start, note.end, now.start, now.end) > 0.3]
            best = max(
                there, key=lambda k: (given[k].midi == note.midi, overlap(note.start, note.end, given[k].start, given[k].end)), default=None
            )
            now = given.pop(best) if best is not None else None
            if now is None or now.midi != note.midi or max(abs(now.start - note.start), abs(now.end - note.end)) > NOTE_SEC:
                yield Difference("note", note.start, _note(part, note), _note(part, now) if now is not None else None)
        for note in given:
            yield Difference("note", note.start, None, _note(part, note))


def _note(part: str, note: m.Note) -> str:
    return f"{part} {note_name(note.midi)} {clock(note.start)} to {clock(note.end)}"
