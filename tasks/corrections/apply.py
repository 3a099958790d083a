"""The analysis's own map and what persons put right: the map as they have it, and what became of each thing they said. Pure.

Beats and keys come first, for they carry the chords and the sections; then everything else, in the order in which it was said. Nothing is
dropped: what has no place in this map is a conflict, stands in the report, and stays in the log for the next analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

from schemas import corrections as c
from schemas import song_map as m
from schemas.results import (
    Beat,
    BeatsKey,
    Chord,
    ChordAlternative,
    Chords,
    KeySpan,
    MeterSpan,
    StepReport,
    Tempo,
    TempoCandidate,
    TempoPoint,
)
from tasks.common.bars import bar_spans
from tasks.common.harmony.on_beats import on_beats
from tasks.corrections import chords, lyrics, notes, sections
from tasks.corrections.draft import Draft
from tasks.corrections.grid import Grid, corrected_grid
from tasks.corrections.log import effective
from tasks.corrections.outcome import Conflict, Outcome
from tasks.corrections.placing import clock_offset, set_beside

#: A boundary of sections that lies within this share of a bar of a downbeat is carried to it.
_CARRIED_SHARE: Final = 0.5


@dataclass(frozen=True)
class Correcting:
    """song_map: as persons have it. outcomes: what became of each operation that counts, in the order of the log."""

    song_map: m.SongMap
    outcomes: tuple[m.CorrectionOutcome, ...]

    @property
    def conflicts(self) -> tuple[m.CorrectionOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.outcome == "conflict")


def apply(
    machine: m.SongMap, operations: Sequence[c.Operation], heard: Chords | None = None, refused: Mapping[str, str] | None = None
) -> Correcting:
    """A map with what persons put right in it.

    machine: the map as the analysis has it. operations: the whole log. heard: the chords as they were heard, where they are at hand, which
    fit other beats better than those that were set on the machine's. refused: {id: why} of operations that are conflicts whatever they say.
    """
    counting = effective(operations)
    if not counting:
        return Correcting(machine, ())
    fates: dict[str, Outcome] = {}
    changes = _set_beside_all(machine, counting)
    duration = machine.duration_sec
    grid = Grid(beats_of_map(machine))
    for operation, change in zip(counting, changes, strict=True):
        if isinstance(change, c.GridChange):
            try:
                _refuse(operation, refused)
                grid, fates[operation.id] = corrected_grid(grid, change, duration)
            except Conflict as conflict:
                fates[operation.id] = Outcome("conflict", str(conflict))
    based = _with_grid(machine, grid, heard) if any(fate.fate != "conflict" for fate in fates.values()) else machine
    draft = _draft_of(based, grid)
    for operation, change in zip(counting, changes, strict=True):
        if isinstance(change, c.GridChange):
            continue
        before = _kept(draft)
        try:
            _refuse(operation, refused)
            fates[operation.id] = _HANDLERS[type(change)](draft, change)
        except Conflict as conflict:
            draft = before
            fates[operation.id] = Outcome("conflict", str(conflict))
    outcomes = tuple(
        m.CorrectionOutcome(
            id=operation.id, kind=operation.change.kind, outcome=fates[operation.id].fate, text=fates[operation.id].text[:1000]
        )
        for operation in counting
    )
    return Correcting(_finished(based, draft, grid, outcomes), outcomes)


def _refuse(operation: c.Operation, refused: Mapping[str, str] | None) -> None:
    if refused and operation.id in refused:
        raise Conflict(refused[operation.id])


def _set_beside_all(machine: m.SongMap, operations: Sequence[c.Operation]) -> list[Any]:
    """The changes, with the times of another decode as they are in this one."""
    others = {operation.song for operation in operations} - {machine.id}
    offsets = {song: clock_offset([o.near for o in operations if o.song == song], machine.beats) for song in others}
    return [set_beside(operation.change, offsets.get(operation.song, 0.0)) for operation in operations]


# --- between a map and the results of the steps ----------------------------------------------------------------------------------------


def beats_of_map(song_map: m.SongMap) -> BeatsKey:
    """What the beats step found, as a map has it."""
    ones = {round(time, 6) for time in song_map.downbeats}
    firsts = [index for index, time in enumerate(song_map.beats) if round(time, 6) in ones]
    usual = song_map.meter.numerator
    beats, position = [], 0
    for index, time in enumerate(song_map.beats):
        if round(time, 6) in ones:
            position = 1
        elif position:
            position += 1
        pickup = (index - firsts[0]) % usual + 1 if firsts else 2
        beats.append(Beat(time=time, position=position or pickup, confidence=song_map.beat_conf[index]))

    def meter(span: m.Meter | m.MeterChange, start: float, end: float) -> MeterSpan:
        return MeterSpan(start=start, end=end, numerator=span.numerator, denominator=span.denominator, confidence=span.conf)

    keys = tuple(KeySpan(start=k.start, end=k.end, tonic=k.tonic, mode=k.mode, confidence=k.conf) for k in song_map.key)
    tempo = song_map.tempo
    return BeatsKey(
        report=StepReport(step="beats_key"),
        beats=tuple(beats),
        tempo=Tempo(
            bpm_global=tempo.bpm_global,
            confidence=tempo.confidence,
            curve=tuple(TempoPoint(time=time, bpm=bpm) for time, bpm in tempo.curve),
            candidates=tuple(TempoCandidate(bpm=candidate.bpm, weight=candidate.weight) for candidate in tempo.candidates),
        ),
        meter=meter(song_map.meter, 0.0, song_map.duration_sec),
        meter_changes=tuple(meter(change, change.start, change.end) for change in song_map.meter.changes),
        key_spans=keys,
        global_key=max(keys, key=lambda key: key.end - key.start, default=None),
    )


def _chords_of_map(song_map: m.SongMap) -> Chords:
    return Chords(
        report=StepReport(step="chords"),
        chords=tuple(
            Chord(
                start=chord.start,
                end=chord.end,
                label=chord.label,
                display=chord.display,
                root=chord.root,
                quality=chord.quality,
                bass=chord.bass,
                confidence=chord.conf,
                start_beat=None,
                end_beat=None,
                alternatives=tuple(ChordAlternative(label=a.label, display=a.display, confidence=a.conf) for a in chord.alternatives),
            )
            for chord in song_map.chords
        ),
    )


def _with_grid(machine: m.SongMap, grid: Grid, heard: Chords | None) -> m.SongMap:
    """The map on other beats and in other keys: chords and sections are carried along."""
    beats, duration = grid.beats, machine.duration_sec
    times = grid.times
    positions = [beat.position for beat in beats.beats]
    found = heard if heard is not None and machine.chords else _chords_of_map(machine)
    bars = bar_spans(times, positions, duration)
    sure_tempo, sure_meter = "tempo" in grid.said, "meter" in grid.said
    return machine.model_copy(
        update={
            "tempo": m.Tempo.model_construct(
                bpm_global=beats.tempo.bpm_global,
                curve=tuple((point.time, point.bpm) for point in beats.tempo.curve),
                confidence=1.0 if sure_tempo else beats.tempo.confidence,
                candidates=tuple(m.TempoCandidate.model_construct(bpm=k.bpm, weight=k.weight) for k in beats.tempo.candidates),
                **_by(sure_tempo),
            ),
            "meter": m.Meter.model_construct(
                numerator=beats.meter.numerator,
                denominator=beats.meter.denominator,
                conf=1.0 if sure_meter else beats.meter.confidence,
                changes=tuple(
                    m.MeterChange.model_construct(
                        start=span.start,
                        end=span.end,
                        numerator=span.numerator,
                        denominator=span.denominator,
                        conf=span.confidence,
                        **_by(sure_meter or span.start in grid.meters),
                    )
                    for span in beats.meter_changes
                ),
                **_by(sure_meter),
            ),
            "beats": tuple(times),
            "downbeats": tuple(beats.downbeats),
            "beat_conf": tuple(round(beat.confidence, 4) for beat in beats.beats),
            "bars": tuple(m.Bar.model_construct(start=b.start, end=round(b.end, 6), first_beat=b.first_beat, beats=b.beats) for b in bars),
            "key": tuple(
                m.Key.model_construct(
                    start=key.start, end=key.end, tonic=key.tonic, mode=key.mode, conf=key.confidence, **_by(key.start in grid.keys)
                )
                for key in beats.key_spans
            ),
            "chords": tuple(_chord(chord, duration) for chord in on_beats(found, beats, duration)) if machine.chords else (),
            "sections": _carried(machine.sections, beats.downbeats, duration) if "beats" in grid.said | _moved(grid) else machine.sections,
        }
    )


def _moved(grid: Grid) -> frozenset[str]:
    return frozenset({"beats"}) if "downbeats" in grid.said else frozenset()


def _by(person: bool) -> dict[str, Any]:
    return {"by": "person"} if person else {}


def _chord(chord: Chord, duration: float) -> m.Chord:
    return m.Chord.model_construct(
        start=chord.start,
        end=min(chord.end, duration),
        label=chord.label,
        conf=round(chord.confidence, 4),
        display=chord.display,
        root=chord.root,
        quality=chord.quality,
        bass=chord.bass,
        start_beat=chord.start_beat,
        end_beat=chord.end_beat,
        alternatives=tuple(
            m.ChordAlternative.model_construct(label=a.label, display=a.display, conf=round(a.confidence, 4))
            for a in chord.alternatives[:3]
        ),
    )


def _carried(whole: Sequence[m.Section], downbeats: Sequence[float], duration: float) -> tuple[m.Section, ...]:
    """Sections whose boundaries lie on the downbeats near which they were."""
    if len(downbeats) < 2 or not whole:
        return tuple(whole)
    gaps = sorted(after - before for before, after in pairwise(downbeats))
    reach = _CARRIED_SHARE * gaps[len(gaps) // 2]
    marks = [section.start for section in whole[1:]]
    placed: list[float] = []
    for number, mark in enumerate(marks):
        near = min(downbeats, key=lambda beat: abs(beat - mark))
        before = placed[-1] if placed else 0.0
        after = marks[number + 1] if number + 1 < len(marks) else duration
        placed.append(near if abs(near - mark) <= reach and before < near < after else mark)
    bounds = [0.0, *placed, duration]
    return tuple(
        section.model_copy(update={"start": start, "end": end}) for section, (start, end) in zip(whole, pairwise(bounds), strict=True)
    )


# --- everything else -------------------------------------------------------------------------------------------------------------------


def _draft_of(song_map: m.SongMap, grid: Grid) -> Draft:
    performance = song_map.performance
    return Draft(
        duration=song_map.duration_sec,
        beats=song_map.beats,
        downbeats=song_map.downbeats,
        keys=grid.beats.key_spans,
        chords=list(song_map.chords),
        sections=list(song_map.sections),
        lyrics=list(song_map.lyrics),
        notes={part: list(getattr(performance, part)) for part in ("melody", "bass", "harmony")},
        title=song_map.title,
        artist=song_map.source.tags.artist,
    )


def _kept(draft: Draft) -> Draft:
    """The draft as it is now, whatever becomes of it."""
    return Draft(
        draft.duration,
        draft.beats,
        draft.downbeats,
        draft.keys,
        list(draft.chords),
        list(draft.sections),
        list(draft.lyrics),
        {part: list(held) for part, held in draft.notes.items()},
        draft.title,
        draft.artist,
        set(draft.said),
    )


def _title(draft: Draft, change: c.TitleSet) -> Outcome:
    was, draft.title = draft.title, change.title
    draft.said.add("title")
    return Outcome("obsolete" if was == change.title else "applied", f"title: {change.title}")


def _artist(draft: Draft, change: c.ArtistSet) -> Outcome:
    was, draft.artist = draft.artist, change.artist
    draft.said.add("artist")
    return Outcome("obsolete" if was == change.artist else "applied", f"artist: {change.artist}")


def _finished(based: m.SongMap, draft: Draft, grid: Grid, outcomes: tuple[m.CorrectionOutcome, ...]) -> m.SongMap:
    performance = based.performance
    parts = performance.parts
    changed: dict[str, Any] = {part: tuple(held) for part, held in draft.notes.items() if tuple(held) != getattr(performance, part)}
    if changed:
        changed["parts"] = parts.model_copy(
            update={name: notes.facts(getattr(parts, name), draft.notes[name]) for name in ("melody", "bass") if name in changed}
        )
    whole = sections.counted(draft.sections)
    said = (draft.said | grid.said) & {"title", "artist", "beats", "downbeats", "lyrics"}
    update: dict[str, Any] = {
        "title": draft.title,
        "chords": tuple(draft.chords),
        "sections": whole,
        "levels": based.levels.model_copy(update={"repeats": sections.repeats(whole)}) if whole != based.sections else based.levels,
        "lyrics": tuple(draft.lyrics),
        "performance": performance.model_copy(update=changed) if changed else performance,
        "corrections": m.Corrected(operations=len(outcomes), outcomes=outcomes),
    }
    if draft.artist != based.source.tags.artist:
        tags = based.source.tags.model_copy(update={"artist": draft.artist})
        update["source"] = based.source.model_copy(update={"tags": tags})
    if said:
        update["by_person"] = tuple(name for name in ("title", "artist", "beats", "downbeats", "lyrics") if name in said)
    return based.model_copy(update=update)


_HANDLERS: Final[dict[type, Callable[[Draft, Any], Outcome]]] = cast(
    "dict[type, Callable[[Draft, Any], Outcome]]",
    {
        c.ChordReplaced: chords.chord_replaced,
        c.ChordSplit: chords.chord_split,
        c.ChordsMerged: chords.chords_merged,
        c.SectionRelabelled: sections.section_relabelled,
        c.SectionMoved: sections.section_moved,
        c.SectionSplit: sections.section_split,
        c.SectionsMerged: sections.sections_merged,
        c.WordText: lyrics.word_text,
        c.WordTime: lyrics.word_time,
        c.LineSplit: lyrics.line_split,
        c.LinesJoined: lyrics.lines_joined,
        c.LyricsShifted: lyrics.lyrics_shifted,
        c.LyricsGiven: lyrics.lyrics_given,
        c.NotePitch: notes.note_pitch,
        c.NoteTime: notes.note_time,
        c.TitleSet: _title,
        c.ArtistSet: _artist,
    },
)
