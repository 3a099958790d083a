"""Notes as a person put them right. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from schemas import corrections as c
from schemas import song_map as m
from tasks.corrections.draft import LEAST_SEC, Draft
from tasks.corrections.outcome import Conflict, Outcome, applied, clock, moved, obsolete
from tasks.corrections.placing import find_note

#: A note this near to where it is to be is there (s).
_THERE_SEC = 0.005


def note_pitch(draft: Draft, change: c.NotePitch) -> Outcome:
    """Another pitch."""
    notes = draft.notes[change.note.part]
    index, as_it_was = find_note(notes, change.note, change.midi)
    before = notes[index]
    text = f"{change.note.part} {clock(before.start)} {change.midi}"
    if before.midi == change.midi:
        notes[index] = before.model_copy(update={"conf": 1.0, "by": "person"})
        return obsolete(f"{text} is heard so")
    renewed = before.model_copy(update={"midi": change.midi, "cents": 0.0, "bends": (), "conf": 1.0, "by": "person"})
    _refuse_overlap(notes, index, renewed, change.note.part)
    notes[index] = renewed
    return applied(text) if as_it_was else moved(f"{text}, which is heard as {before.midi} now")


def note_time(draft: Draft, change: c.NoteTime) -> Outcome:
    """Another start or end."""
    part = change.note.part
    notes = draft.notes[part]
    index, as_it_was = find_note(notes, change.note)
    before = notes[index]
    start, end = round(change.start, 6), round(min(change.end, draft.duration), 6)
    if end - start < LEAST_SEC:
        raise Conflict("the note would have no length")
    text = f"{part} {clock(start)} to {clock(end)}"
    there = abs(before.start - start) <= _THERE_SEC and abs(before.end - end) <= _THERE_SEC
    bends = tuple(bend for bend in before.bends if start <= bend[0] <= end)
    renewed = before.model_copy(update={"start": start, "end": end, "bends": bends, "conf": 1.0, "by": "person"})
    if part == "harmony":
        _refuse_overlap(notes, index, renewed, part)
    else:
        _make_room(notes, index, start, end)
    notes[index] = renewed
    notes.sort(key=lambda note: (note.start, note.midi) if part == "harmony" else (note.start, 0))
    if there:
        return obsolete(f"{text} is heard so")
    return applied(text) if as_it_was else moved(f"{text}, which is heard as {before.midi} now")


def facts(before: m.PartFacts | None, notes: Sequence[m.Note]) -> m.PartFacts | None:
    """What is known of a part, with its range."""
    if before is None:
        return None
    pitches = [note.midi for note in notes]
    return before.model_copy(update={"lowest_midi": min(pitches, default=None), "highest_midi": max(pitches, default=None)})


def _make_room(notes: list[m.Note], index: int, start: float, end: float) -> None:
    """Shorten the notes beside one. Raises Conflict where one of them would be nothing."""
    if index and notes[index - 1].end > start:
        if notes[index - 1].start > start - LEAST_SEC:
            raise Conflict("it would begin before the note before it")
        notes[index - 1] = _cut(notes[index - 1], notes[index - 1].start, start)
    if index + 1 < len(notes) and notes[index + 1].start < end:
        if notes[index + 1].end < end + LEAST_SEC:
            raise Conflict("it would end after the note after it")
        notes[index + 1] = _cut(notes[index + 1], end, notes[index + 1].end)


def _cut(note: m.Note, start: float, end: float) -> m.Note:
    return note.model_copy(update={"start": start, "end": end, "bends": tuple(bend for bend in note.bends if start <= bend[0] <= end)})


def _refuse_overlap(notes: Sequence[m.Note], index: int, renewed: m.Note, part: str) -> None:
    """In the harmony, notes of one pitch do not overlap. Raises Conflict."""
    if part != "harmony":
        return
    for other, note in enumerate(notes):
        if other != index and note.midi == renewed.midi and note.start < renewed.end and note.end > renewed.start:
            raise Conflict("another note of this pitch sounds there")
