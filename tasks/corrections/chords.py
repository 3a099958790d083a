"""Chords as a person put them right: what is said of a passage holds there, whatever is heard. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import corrections as c
from schemas import song_map as m
from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.corrections.draft import LEAST_SEC, Draft
from tasks.corrections.outcome import Conflict, Outcome, applied, clock, moved, obsolete
from tasks.corrections.placing import overlap

#: Share of a passage in which a chord is heard already for it to be heard there.
_HEARD: float = 0.9


def chord_replaced(draft: Draft, change: c.ChordReplaced) -> Outcome:
    """Another chord, here or everywhere."""
    known = list(draft.chords)
    alike = _alike(known, change.chord) if change.everywhere else []
    outcome = _set(draft, [(change.chord.start, change.chord.end, change.label)], _as_heard(known, change.chord))
    spans = [(place.start, place.end) for place in change.places] if change.everywhere else []
    spans += [(chord.start, chord.end) for chord in alike if not any(overlap(chord.start, chord.end, *span) > 0.5 for span in spans)]
    others = [span for span in spans if overlap(*span, change.chord.start, change.chord.end) < 0.5]
    for start, end in others:
        _overwrite(draft, start, end, change.label)
    if not change.everywhere:
        return outcome
    if others and outcome.fate == "obsolete":
        outcome = applied(outcome.text)
    return Outcome(outcome.fate, f"{outcome.text}, and in {len(others)} more place{'' if len(others) == 1 else 's'}")


def chord_split(draft: Draft, change: c.ChordSplit) -> Outcome:
    """Two chords in the place of one."""
    chord, (first, second) = change.chord, change.labels
    if not chord.start < change.at < chord.end:
        raise Conflict("the second chord would begin outside the first")
    return _set(draft, [(chord.start, change.at, first), (change.at, chord.end, second)], _as_heard(draft.chords, chord))


def chords_merged(draft: Draft, change: c.ChordsMerged) -> Outcome:
    """One chord in the place of neighbours."""
    if change.last.end <= change.first.start:
        raise Conflict("the last chord would end before the first begins")
    as_heard = _as_heard(draft.chords, change.first) and _as_heard(draft.chords, change.last)
    return _set(draft, [(change.first.start, change.last.end, change.label)], as_heard)


def same_chord(one: str, other: str) -> bool:
    """Whether two labels are of the same chord, however its root is spelled."""
    return _sound(one) == _sound(other)


def alike(chords: Sequence[m.Chord], at: c.ChordAt) -> list[m.Chord]:
    """The other chords of this label between the same two chords."""
    return [chord for chord in _alike(chords, at) if overlap(chord.start, chord.end, at.start, at.end) < 0.5]


def _sound(label: str) -> tuple[object, ...]:
    chord = harte.parse(label)
    if chord is None:
        return (label,)
    bass = pitch_class(chord.bass_note) if chord.bass_note else None
    return pitch_class(chord.root), chord.quality, bass


def _alike(chords: Sequence[m.Chord], at: c.ChordAt) -> list[m.Chord]:
    labels = [None, *(chord.label for chord in chords), None]
    return [
        chord
        for before, chord, after in zip(labels, chords, labels[2:], strict=False)
        if same_chord(chord.label, at.label) and _same_or_none(before, at.before) and _same_or_none(after, at.after)
    ]


def _same_or_none(one: str | None, other: str | None) -> bool:
    return one is other if one is None or other is None else same_chord(one, other)


def _as_heard(chords: Iterable[m.Chord], at: c.ChordAt) -> bool:
    """Whether the chord is heard as it was."""
    return any(same_chord(chord.label, at.label) and overlap(chord.start, chord.end, at.start, at.end) > 0.75 for chord in chords)


def _set(draft: Draft, spans: Sequence[tuple[float, float, str]], as_heard: bool) -> Outcome:
    """Let these chords hold. as_heard: whether what they stand for is heard as it was."""
    if not draft.chords:
        raise Conflict("there are no chords")
    heard = all(_is_heard(draft, start, end, label) for start, end, label in spans)
    text = ", ".join(harte.display(label) for _, _, label in spans)
    where = f"{clock(spans[0][0])} {text}"
    for start, end, label in spans:
        _overwrite(draft, start, end, label)
    if heard:
        return obsolete(f"{where} is heard so")
    return applied(where) if as_heard else moved(f"{where}, where something else was heard than before")


def _is_heard(draft: Draft, start: float, end: float, label: str) -> bool:
    within = [chord for chord in draft.chords if chord.end > start and chord.start < end]
    there = sum(min(end, chord.end) - max(start, chord.start) for chord in within if same_chord(chord.label, label))
    return there >= _HEARD * (end - start) and len([chord for chord in within if min(end, chord.end) - max(start, chord.start) > 0.1]) == 1


def _overwrite(draft: Draft, start: float, end: float, label: str) -> None:
    """Put a chord over a passage; what is left of the chords there stays. Raises Conflict."""
    start, end = draft.on_beat(start), draft.on_beat(end)
    if end - start < LEAST_SEC:
        raise Conflict(f"at {clock(start)} there is less than a beat for {harte.display(label)}")
    kept: list[m.Chord] = []
    for chord in draft.chords:
        if chord.start < start - LEAST_SEC:
            kept.append(_cut(draft, chord, chord.start, min(chord.end, start)))
        if chord.end > end + LEAST_SEC:
            kept.append(_cut(draft, chord, max(chord.start, end), chord.end))
    kept.append(_chord(draft, start, end, label))
    kept.sort(key=lambda chord: chord.start)
    draft.chords = _touching(draft, kept)


def _touching(draft: Draft, chords: list[m.Chord]) -> list[m.Chord]:
    """The chords without the hair between them that a cut within a hundredth of a second leaves."""
    whole: list[m.Chord] = []
    for number, chord in enumerate(chords):
        start = whole[-1].end if whole else 0.0
        end = draft.duration if number == len(chords) - 1 else chord.end
        whole.append(chord if (chord.start, chord.end) == (start, end) else _cut(draft, chord, start, end))
    return whole


def _cut(draft: Draft, chord: m.Chord, start: float, end: float) -> m.Chord:
    beats = {"start_beat": draft.beat_index(start), "end_beat": draft.beat_index(end)}
    return chord.model_copy(update={"start": start, "end": end, **beats})


def _chord(draft: Draft, start: float, end: float, label: str) -> m.Chord:
    parts = harte.parse(label)
    return m.Chord.model_construct(
        start=start,
        end=end,
        label=parts.label if parts else label,
        conf=1.0,
        display=harte.display(label),
        root=parts.root if parts else None,
        quality=parts.quality if parts else None,
        bass=parts.bass_note if parts else None,
        start_beat=draft.beat_index(start),
        end_beat=draft.beat_index(end),
        alternatives=(),
        by="person",
    )
