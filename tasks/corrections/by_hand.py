"""What was changed by hand in a file that was written of a map, as operations. Pure.

Each function compares what a file has with the map it was made of, and returns what is to be appended to the log; nothing where nothing was
changed. What cannot be said as a correction, such as a note where there is none, is returned as text beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import pairwise
from statistics import median
from typing import Final, cast, get_args

from schemas import corrections as c
from schemas import song_map as m
from schemas.results import SectionLabel
from tasks.common.errors import CorrectionsInvalid, OptionInvalid
from tasks.common.harmony import harte
from tasks.common.harmony.lead_sheet import label_of
from tasks.common.note_names import note_number
from tasks.corrections import said
from tasks.corrections.chords import same_chord
from tasks.corrections.label_files import Label, Of, TimedLine, positions
from tasks.corrections.lyrics import sample_of_words
from tasks.corrections.outcome import clock
from tasks.corrections.placing import overlap, plain, word_at
from tasks.corrections.said import Said

#: What was moved by less was not moved by hand (s); LRC has hundredths, and rounds.
_MOVED_SEC: Final = 0.004
_MOVED_IN_LRC_SEC: Final = 0.0151
#: All words are moved as one where they differ by no more from it (s).
_AS_ONE_SEC: Final = 0.002
#: A boundary of sections that was moved by more is another one (s).
_SAME_BOUNDARY_SEC: Final = 4.0
_SECTION_MOVED_SEC: Final = 0.15


@dataclass
class ByHand:
    """changes: for the log. left: what has no place in it, as a person reads it."""

    changes: list[Said] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def labels_by_hand(song: m.SongMap, of: Of, labels: Sequence[Label]) -> ByHand:
    """What was changed in a label track of words, chords, sections, beats or notes. Raises CorrectionsInvalid."""
    if of == "words":
        words = [Heard(label.start, label.end, label.text) for label in labels if label.text]
        return _words(song, words, _MOVED_SEC)
    if of == "chords":
        return _chords(song, labels)
    if of == "sections":
        return _sections(song, labels)
    return _beats(song, labels) if of == "beats" else _notes(song, of, labels)


def kind_of(song: m.SongMap, labels: Sequence[Label]) -> Of | None:
    """What a label track is of, by its texts; None where they do not tell."""
    texts = [label.text for label in labels]
    if all(text in get_args(SectionLabel) for text in texts):
        return "sections"
    if all(label.start == label.end for label in labels) and all(text.isdecimal() or not text for text in texts):
        return "beats"
    known = {plain(word.text) for line in song.lyrics for word in line.words}
    if sum(plain(text) in known for text in texts) > 0.5 * len(texts):
        return "words"
    if all(label_of(text) for text in texts):
        return "chords"
    parts: tuple[Of, ...] = ("melody", "bass", "harmony")
    if not all(_is_note(text) for text in texts):
        return None
    return max(parts, key=lambda part: _as_in(song, part, labels))


def _as_in(song: m.SongMap, part: Of, labels: Sequence[Label]) -> int:
    """How many labels begin with a note of a part."""
    starts = {round(note.start, 2) for note in getattr(song.performance, part)}
    return sum(round(label.start, 2) in starts for label in labels)


def _is_note(text: str) -> bool:
    try:
        note_number(text)
    except OptionInvalid:
        return False
    return True


# --- words -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """A word of a file. start, end: seconds; None where the file does not say."""

    start: float | None
    end: float | None
    text: str


def lines_by_hand(song: m.SongMap, lines: Sequence[TimedLine]) -> ByHand:
    """What was changed in an LRC file: words, and when lines or words are sung."""
    held = [[plain(word.text) for word in line.words] for line in song.lyrics]
    given = [[plain(word) for _, word in line.words] for line in lines]
    words: list[Heard] = []
    partner = _partners([" ".join(line) for line in held], [" ".join(line) for line in given])
    for number, line in enumerate(lines):
        own = song.lyrics[partner[number]] if number in partner else None
        first = own.words[0].start if own is not None else None
        shift = line.start - own.start if own is not None and abs(line.start - own.start) > _MOVED_IN_LRC_SEC else 0.0
        if own is not None and first is not None and abs(line.start - first) <= _MOVED_IN_LRC_SEC:
            shift = 0.0
        same = own is not None and [plain(word.text) for word in own.words] == given[number]
        for place, (start, text) in enumerate(line.words):
            if start is not None:
                words.append(Heard(start, None, text))
            elif same and own is not None and shift:
                words.append(Heard(round(own.words[place].start + shift, 6), round(own.words[place].end + shift, 6), text))
            else:
                words.append(Heard(None, None, text))
    return _words(song, words, _MOVED_IN_LRC_SEC)


def _partners(held: Sequence[str], given: Sequence[str]) -> dict[int, int]:
    """{place among those given: place among those held}: the same in order, and what stands between in as many."""
    found = {}
    for _, a1, a2, b1, b2 in SequenceMatcher(None, held, given, autojunk=False).get_opcodes():
        found.update({b1 + step: a1 + step for step in range(min(a2 - a1, b2 - b1))})
    return found


def _words(song: m.SongMap, given: Sequence[Heard], moved_sec: float) -> ByHand:
    places = [(line, place) for line, whole in enumerate(song.lyrics) for place in range(len(whole.words))]
    held = [song.lyrics[line].words[place] for line, place in places]
    if not held:
        raise CorrectionsInvalid("The song has no lyrics that could have been changed", "Give them: `lyrics give FILE`")
    done = ByHand()
    pairs: list[tuple[int, int]] = []
    matcher = SequenceMatcher(None, [plain(word.text) for word in held], [plain(word.text) for word in given], autojunk=False)
    if matcher.ratio() < 0.3:
        raise CorrectionsInvalid("The file has other lyrics than the song", "Give them as a whole: `lyrics give FILE`")
    for what, a1, a2, b1, b2 in matcher.get_opcodes():
        if what == "insert":
            near = max(a1 - 1, 0)
            added = [word.text for word in given[b1:b2]]
            texts = [*added, held[near].text] if a1 == 0 else [held[near].text, *added]
            done.changes.append(_said_of(song, places[near], " ".join(texts)))
            continue
        both = min(a2 - a1, b2 - b1)
        pairs += [(a1 + step, b1 + step) for step in range(both)]
        for index in range(a1 + both, a2):
            done.changes.append(_said_of(song, places[index], ""))
        if both and b2 - b1 > both:
            last = (a1 + both - 1, " ".join(word.text for word in given[b1 + both - 1 : b2]))
            pairs.pop()
            done.changes.append(_said_of(song, places[last[0]], last[1]))
    other = [_said_of(song, places[index], given[number].text) for index, number in pairs if held[index].text != given[number].text]
    moved = _moved_words(song, places, held, given, pairs, moved_sec)
    # Times first: words are found by what they were.
    done.changes = [*moved, *other, *done.changes]
    return done


def _said_of(song: m.SongMap, place: tuple[int, int], text: str) -> Said:
    at = word_at(song.lyrics, *place)
    return c.WordText(word=at, text=text), at.text


def _moved_words(
    song: m.SongMap,
    places: Sequence[tuple[int, int]],
    held: Sequence[m.Word],
    given: Sequence[Heard],
    pairs: Sequence[tuple[int, int]],
    moved_sec: float,
) -> list[Said]:
    timed = [(held[index], given[number], places[index]) for index, number in pairs if given[number].start is not None]
    shifts = [cast("float", hand.start) - word.start for word, hand, _ in timed]
    if shifts and len(timed) == len(held):
        whole = median(shifts)
        as_one = max(abs(shift - whole) for shift in shifts) <= max(_AS_ONE_SEC, moved_sec - _MOVED_SEC)
        kept = all(hand.end is None or abs(hand.end - word.end - whole) <= moved_sec for word, hand, _ in timed)
        if as_one and kept and abs(whole) > moved_sec:
            return [(c.LyricsShifted(ms=round(1000 * whole, 3), heard=sample_of_words(song.lyrics)), None)]
    later: list[Said] = []
    earlier: list[Said] = []
    for (word, hand, place), shift in zip(timed, shifts, strict=True):
        start = cast("float", hand.start)
        end = hand.end if hand.end is not None else word.end + shift
        if abs(shift) <= moved_sec and abs(end - word.end) <= moved_sec:
            continue
        change = c.WordTime(word=word_at(song.lyrics, *place), start=max(0.0, round(start, 6)), end=round(end, 6))
        (later if shift > 0 else earlier).append((change, f"{word.text} {clock(word.start)} to {clock(word.end)}"))
    # A word that moves makes room for itself, and not for the next that is yet to move.
    return [*reversed(later), *earlier]


# --- chords, sections, beats, notes ----------------------------------------------------------------------------------------------------


def _chords(song: m.SongMap, labels: Sequence[Label]) -> ByHand:
    done = ByHand()
    for label in labels:
        name = label_of(label.text)
        if name is None:
            raise CorrectionsInvalid(f"{label.text[:40]!r} at {clock(label.start)} is no chord", "Write Am7, F#m7b5, Bb/D or N.C.")
        end = min(label.end, song.duration_sec)
        if end <= label.start:
            continue
        if any(
            same_chord(held.label, name) and abs(held.start - label.start) <= _MOVED_SEC and abs(held.end - end) <= _MOVED_SEC
            for held in song.chords
        ):
            continue
        there = said.chord_at(song, min((label.start + end) / 2, song.duration_sec - 1e-3))
        place = there.model_copy(update={"start": label.start, "end": end})
        done.changes.append((c.ChordReplaced(chord=place, label=name), harte.display(there.label)))
    return done


def _sections(song: m.SongMap, labels: Sequence[Label]) -> ByHand:
    for label in labels:
        if label.text not in get_args(SectionLabel):
            raise CorrectionsInvalid(f"{label.text[:40]!r} is no section", f"Write one of: {', '.join(get_args(SectionLabel))}")
    if not song.sections:
        raise CorrectionsInvalid("The song has no sections that could have been changed")
    done = ByHand()
    names = [cast("SectionLabel", label.text) for label in labels]
    wanted = [label.start for label in labels[1:]]
    now = [c.SectionAt(start=held.start, end=held.end, label=held.label) for held in song.sections]
    # Boundaries that are gone, those that moved, those that are new; then the names.
    partner = _near(wanted, [held.start for held in now[1:]])
    for index in range(len(now) - 1, 0, -1):
        if index - 1 not in partner.values():
            first, second = now[index - 1], now[index]
            done.changes.append((c.SectionsMerged(first=first, second=second, label=first.label), f"{first.label}, {second.label}"))
            now[index - 1 : index + 1] = [first.model_copy(update={"end": second.end})]
    for number, start in enumerate(wanted):
        index = next(
            (place for place, held in enumerate(now[1:], 1) if number in partner and abs(held.start - start) <= _SAME_BOUNDARY_SEC), 0
        )
        if not index:
            index = max(place for place, held in enumerate(now) if held.start < start)
            whole = now[index]
            done.changes.append((c.SectionSplit(section=whole, at=start, labels=(names[number], names[number + 1])), whole.label))
            before = whole.model_copy(update={"end": start, "label": names[number]})
            now[index : index + 1] = [before, whole.model_copy(update={"start": start, "label": names[number + 1]})]
        elif abs(now[index].start - start) > _SECTION_MOVED_SEC:
            held = now[index]
            done.changes.append((c.SectionMoved(section=held, start=start), f"{held.label} from {clock(held.start)}"))
            now[index - 1] = now[index - 1].model_copy(update={"end": start})
            now[index] = held.model_copy(update={"start": start})
    for held, name in zip(now, names, strict=False):
        if held.label != name:
            done.changes.append((c.SectionRelabelled(section=held, label=name), held.label))
    return done


def _near(wanted: Sequence[float], held: Sequence[float]) -> dict[int, int]:
    """{place among the wanted: place among those held} of boundaries that are the same, the nearest first."""
    every = sorted((abs(time - other), number, place) for number, time in enumerate(wanted) for place, other in enumerate(held))
    found: dict[int, int] = {}
    for far, number, place in every:
        crossing = any((number - other) * (place - there) < 0 for other, there in found.items())
        if far <= _SAME_BOUNDARY_SEC and number not in found and place not in found.values() and not crossing:
            found[number] = place
    return found


def _beats(song: m.SongMap, labels: Sequence[Label]) -> ByHand:
    times = [label.start for label in labels]
    if any(after - before < 0.02 for before, after in pairwise(times)):
        raise CorrectionsInvalid("Two beats lie within 20 ms", "Take one of them out")
    places: list[int] = []
    for label in labels:
        text = label.text.rpartition(".")[2]  # bar.beat
        if text and not (text.isascii() and text.isdecimal() and 0 < int(text) <= 64):
            raise CorrectionsInvalid(
                f"{label.text[:40]!r} at {clock(label.start)} is no place in a bar", "Write 1 at the one, 2, 3, 4 after"
            )
        places.append(int(text) if text else (places[-1] % song.meter.numerator + 1 if places else 1))
    grid = list(zip(times, places, strict=True))
    held = list(zip(song.beats, positions(song), strict=True))
    same = len(grid) == len(held) and all(abs(a - b) <= _MOVED_SEC and one == two for (a, one), (b, two) in zip(grid, held, strict=True))
    if same:
        return ByHand()
    shifts = [after - before for after, before in zip(times, song.beats, strict=False)]
    if len(grid) == len(held) and places == positions(song) and max(shifts) - min(shifts) <= 2 * _AS_ONE_SEC:
        return ByHand([said.beats_shifted(song, round(1000 * median(shifts), 3))])
    return ByHand([said.beats_replaced(song, grid)])


def _notes(song: m.SongMap, of: Of, labels: Sequence[Label]) -> ByHand:
    part = cast("c.PartName", of)
    held: Sequence[m.Note] = getattr(song.performance, of)
    done = ByHand()
    used: set[int] = set()
    for label in labels:
        try:
            midi = note_number(label.text)
        except OptionInvalid as error:
            raise CorrectionsInvalid(f"{label.text[:40]!r} at {clock(label.start)} is no note", error.what_to_do) from error
        free = [
            index for index in range(len(held)) if index not in used and overlap(held[index].start, held[index].end, label.start, label.end)
        ]
        best = max(free, key=lambda k: (overlap(held[k].start, held[k].end, label.start, label.end), held[k].midi == midi), default=None)
        if best is None:
            done.left.append(f"{label.text} at {clock(label.start)}: a note where none was heard")
            continue
        used.add(best)
        note = held[best]
        place = c.NoteAt(part=part, start=note.start, end=note.end, midi=note.midi)
        if note.midi != midi:
            done.changes.append((c.NotePitch(note=place, midi=midi), str(note.midi)))
            place = place.model_copy(update={"midi": midi})
        if abs(note.start - label.start) > _MOVED_SEC or abs(note.end - label.end) > _MOVED_SEC:
            done.changes.append((c.NoteTime(note=place, start=label.start, end=label.end), f"{clock(note.start)} to {clock(note.end)}"))
    gone = len(held) - len(used)
    if gone:
        done.left.append(f"{gone} of the notes are not in the file; a note cannot be taken away")
    return done
