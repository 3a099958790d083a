"""For any corrections and any later analysis of the song, every correction holds, or its conflict is reported.

A later analysis: a decode that begins 20 ms later or earlier, and another engine or quality, which hears some words and chords otherwise,
misses some, puts beats, words, notes and sections somewhat elsewhere, or hears the pulse at half or twice its tempo.
"""

from __future__ import annotations

import copy
import functools
import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from river_road import DURATION, chord, document

from schemas import corrections as c
from schemas.song_map import SongMap
from tasks.common.errors import CorrectionUnplaceable
from tasks.corrections import said
from tasks.corrections.apply import Correcting, apply
from tasks.corrections.chords import same_chord
from tasks.corrections.log import with_changes
from tasks.corrections.placing import overlap, plain
from tasks.packager.corrected import document_problems

Document = dict[str, Any]
#: What the decode's beginning may leave unknown, and half the spread of the beats by which it is found (s).
CLOSE = 0.03


@functools.cache
def base() -> SongMap:
    return SongMap.from_json(json.dumps(document()))


# --- another analysis ------------------------------------------------------------------------------------------------------------------


@st.composite
def analyses(draw: st.DrawFn) -> tuple[SongMap, float]:
    """Another analysis, and by how much its decode begins later (s)."""
    made = document()
    if draw(st.booleans()):
        otherwise_heard(made, Random(draw(st.integers(0, 2**32))))
    if draw(st.sampled_from((False, False, False, True))):
        half_the_beats(made)
    by = draw(st.sampled_from((0.0, 0.02, -0.02)))
    if by:
        later(made, by)
        made["id"] = "fedcba9876543210"
        made["source"]["audio_sha256"] = made["id"] * 4
    return SongMap.from_json(json.dumps(made)), by


def otherwise_heard(made: Document, random: Random) -> None:
    """As another engine may hear it."""
    made["beats"] = [0.0, *(round(beat + random.uniform(-0.01, 0.01), 6) for beat in made["beats"][1:])]
    made["downbeats"] = made["beats"][::4]
    for bar in made["bars"]:
        bar["start"], bar["end"] = made["beats"][bar["first_beat"]], (made["beats"] + [DURATION])[bar["first_beat"] + 4]
    marks = [*made["beats"], DURATION]
    spans: list[Document] = []
    for held in made["chords"]:
        label = random.choice(("A:min", "E:min", "D:maj7")) if random.random() < 0.15 else held["label"]
        start, end = marks[held["start_beat"]], marks[held["end_beat"]]
        if random.random() < 0.1 and spans:  # it is heard a beat later
            spans[-1] |= {"end": marks[held["start_beat"] + 1], "end_beat": held["start_beat"] + 1}
            spans.append(chord(marks[held["start_beat"] + 1], end, label, held["start_beat"] + 1, held["end_beat"]))
        else:
            spans.append(chord(start, end, label, held["start_beat"], held["end_beat"]))
    made["chords"] = spans
    lines = []
    for line in made["lyrics"]:
        words = []
        for word in line["words"]:
            if random.random() < 0.06:
                continue
            by = random.uniform(-0.04, 0.04)
            text = random.choice(("mumble", "rover", "thing")) if random.random() < 0.1 else word["text"]
            words.append(word | {"start": round(word["start"] + by, 6), "end": round(word["end"] + by, 6), "text": text})
        if words:
            text = " ".join(word["text"] for word in words)
            lines.append(line | {"start": words[0]["start"], "end": words[-1]["end"], "text": text, "words": words})
    made["lyrics"] = lines
    for number, section in enumerate(made["sections"][1:], 1):
        by = random.choice((0.0, 0.0, 2.0, -2.0))
        at = min(made["downbeats"], key=lambda beat, wanted=section["start"] + by: abs(beat - wanted))
        section["start"] = made["sections"][number - 1]["end"] = at
    for part in ("melody", "bass"):
        kept = [note for note in made["performance"][part] if random.random() > 0.05]
        made["performance"][part] = [note | {"midi": note["midi"] + (12 if random.random() < 0.05 else 0)} for note in kept]
        pitches = [note["midi"] for note in made["performance"][part]]
        made["performance"]["parts"][part] |= {"lowest_midi": min(pitches), "highest_midi": max(pitches)}


def half_the_beats(made: Document) -> None:
    made["beats"], made["beat_conf"] = made["beats"][::2], made["beat_conf"][::2]
    made["downbeats"] = made["beats"][::4]
    made["tempo"] |= {"bpm_global": 60.0, "curve": [[0.0, 60.0]], "candidates": [{"bpm": 60.0, "weight": 0.9}]}
    ends = [*made["downbeats"][1:], DURATION]
    made["bars"] = [
        {"start": start, "end": end, "first_beat": 4 * number, "beats": 4}
        for number, (start, end) in enumerate(zip(made["downbeats"], ends, strict=True))
    ]
    for held in made["chords"]:
        held["start_beat"] = index_of(made["beats"], held["start"])
        held["end_beat"] = len(made["beats"]) if held["end"] >= DURATION else index_of(made["beats"], held["end"])


def index_of(beats: Sequence[float], time: float) -> int:
    return bisect_left(beats, time - 1e-6)


def later(made: Document, by: float) -> None:
    """Every event of the song lies so much later in the decode; what begins or ends with it stays."""

    def moved(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: moved(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [moved(inner, name) for inner in value]
        times = name in ("start", "end", "beats", "downbeats") and isinstance(value, float)
        return value if not times or value in (0.0, DURATION) else round(min(max(value + by, 0.0), DURATION), 6)

    for name in ("beats", "downbeats", "bars", "chords", "sections", "lyrics", "performance", "key"):
        made[name] = moved(made[name], name)


# --- corrections -----------------------------------------------------------------------------------------------------------------------

times = st.floats(0.0, DURATION - 0.01).map(lambda time: round(time, 3))
sung = st.sampled_from([word.start + 0.1 for line in base().lyrics for word in line.words])
labels = st.sampled_from(("A:min7", "D:min", "E:7", "N", "C:maj/3", "Bb:maj7"))
names = st.sampled_from(("intro", "verse", "prechorus", "chorus", "bridge", "solo", "outro"))
texts = st.sampled_from(("yellow", "two words", "", "Ünter", "walking"))
Making = Callable[[SongMap], said.Said]
sayings: st.SearchStrategy[Making] = st.one_of(
    st.booleans().map(lambda double: lambda song: said.tempo(song, double)),
    st.integers(-3, 3).map(lambda beats: lambda song: said.downbeat(song, beats)),
    times.map(lambda at: lambda song: said.downbeat_at(song, at)),
    st.floats(-200, 200).map(lambda ms: lambda song: said.beats_shifted(song, round(ms, 1))),
    st.tuples(times, st.floats(0.45, 0.55), st.integers(4, 40)).map(
        lambda t: lambda song: said.beats_tapped(song, [t[0] + t[1] * beat for beat in range(t[2])])
    ),
    st.tuples(st.floats(0, 0.5), st.floats(0.3, 0.9)).map(
        lambda t: lambda song: said.beats_replaced(song, [(round(t[0] + t[1] * beat, 4), beat % 3 + 1) for beat in range(60)])
    ),
    st.sampled_from(((3, 4), (6, 8), (2, 4), (5, 4))).map(lambda t: lambda song: said.meter(song, *t)),
    st.tuples(st.sampled_from("CDFGA"), st.none() | times, st.none() | times).map(
        lambda t: lambda song: said.key(song, t[0], "minor", t[1], t[2])
    ),
    st.tuples(times, labels, st.booleans()).map(lambda t: lambda song: said.chord(song, *t)),
    st.tuples(times, labels, labels).map(lambda t: lambda song: said.chord_split(song, t[0], (t[1], t[2]))),
    st.tuples(times, times, labels).map(lambda t: lambda song: said.chords_merged(song, *t)),
    st.tuples(times, names).map(lambda t: lambda song: said.section(song, *t)),
    st.tuples(times, times).map(lambda t: lambda song: said.section_moved(song, *t)),
    st.tuples(times, names, names).map(lambda t: lambda song: said.section_split(song, t[0], (t[1], t[2]))),
    st.tuples(times, names).map(lambda t: lambda song: said.sections_merged(song, *t)),
    st.tuples(sung, texts).map(lambda t: lambda song: said.word(song, t[0], None, t[1])),
    st.tuples(sung, st.floats(-0.3, 0.3)).map(lambda t: lambda song: said.word_time(song, t[0], None, round(t[0] - 0.1 + t[1], 3), None)),
    sung.map(lambda at: lambda song: said.line_split(song, at)),
    sung.map(lambda at: lambda song: said.lines_joined(song, at)),
    st.floats(-500, 500).map(lambda ms: lambda song: said.lyrics_shifted(song, round(ms, 1))),
    st.tuples(st.sampled_from(("melody", "bass")), times, st.integers(30, 90)).map(lambda t: lambda song: said.note_pitch(song, *t)),
    st.tuples(st.sampled_from(("melody", "bass")), times, times, times).map(lambda t: lambda song: said.note_time(song, *t)),
    st.sampled_from(("Road", "River Road")).map(lambda text: lambda song: said.title(song, text)),
    st.just(lambda song: said.artist(song, "Ann")),
)


def change_of(saying: Making) -> said.Said:
    try:
        return saying(base())
    except CorrectionUnplaceable:
        assume(False)
        raise


def log_of(*changes: said.Said) -> c.Corrections:
    return with_changes(c.Corrections(song=base().id), base(), list(changes), "Ann")


# --- what holds ------------------------------------------------------------------------------------------------------------------------


def holds(change: c.Change, made: SongMap, by: float) -> bool:
    """Whether a map has what a change says. by: how much later the decode begins (s)."""
    match change:
        case c.TempoHalved() | c.TempoDoubled():
            wanted = change.bpm * (2 if isinstance(change, c.TempoDoubled) else 0.5)
            return made.tempo.bpm_global == pytest.approx(wanted, rel=0.08) and (made.tempo.by, made.tempo.confidence) == ("person", 1.0)
        case c.DownbeatMoved():
            return near(made.downbeats, change.downbeat + by) <= CLOSE
        case c.BeatsShifted():
            inside = [time + change.ms / 1000 + by for time in change.heard if 0.1 < time + change.ms / 1000 + by < DURATION - 0.1]
            return sorted(near(made.beats, time) for time in inside)[len(inside) // 2] <= CLOSE
        case c.BeatsTapped():
            return all(near(made.beats, time + by) <= 0.07 + CLOSE for time in change.times if time + by < DURATION)
        case c.BeatsReplaced():
            return all(near(made.beats, time + by) <= CLOSE for time, _ in change.beats if 0 <= time + by <= DURATION)
        case c.MeterSet():
            return (made.meter.numerator, made.meter.denominator, made.meter.by) == (change.numerator, change.denominator, "person")
        case c.KeySet():
            start, end = change.start or 0.0, change.end or DURATION
            return any(
                (key.tonic, key.mode, key.by) == (change.tonic, change.mode, "person") and overlap(key.start, key.end, start, end) > 0.5
                for key in made.key
            )
        case c.ChordReplaced():
            return sounds(made, change.chord.start + by, change.chord.end + by, change.label)
        case c.ChordSplit():
            first, second = change.labels
            middle = made.beats[min(range(len(made.beats)), key=lambda k: abs(made.beats[k] - change.at - by))] if made.beats else change.at
            return sounds(made, change.chord.start + by, middle, first) and sounds(made, middle, change.chord.end + by, second)
        case c.ChordsMerged():
            return sounds(made, change.first.start + by, change.last.end + by, change.label)
        case c.SectionRelabelled():
            best = max(made.sections, key=lambda section: overlap(section.start, section.end, change.section.start, change.section.end))
            return (best.label, best.by) == (change.label, "person")
        case c.SectionMoved():
            return near([section.start for section in made.sections], change.start + by) <= 0.15 + CLOSE
        case c.SectionSplit():
            bounds = [
                (a.label, b.label)
                for a, b in zip(made.sections, made.sections[1:], strict=False)
                if abs(b.start - change.at - by) <= 0.15 + CLOSE
            ]
            return change.labels in bounds
        case c.SectionsMerged():
            at = next(section for section in made.sections if section.start <= change.second.start + by < section.end)
            return at.label == change.label
        case c.WordText():
            return word_holds(change, made, by)
        case c.WordTime():
            return any(abs(word.start - change.start - by) <= CLOSE and word.by == "person" for line in made.lyrics for word in line.words)
        case c.LineSplit():
            return any(line.by == "person" and abs(line.words[0].start - change.word.time - by) < 2.0 for line in made.lyrics)
        case c.LinesJoined():
            return any(line.by == "person" and line.start < change.word.time + by + 2.0 for line in made.lyrics)
        case c.LyricsShifted():
            words = [word.start for line in made.lyrics for word in line.words]
            far = sorted(near(words, at.time + change.ms / 1000 + by) for at in change.heard)
            return far[len(far) // 2] <= 0.04 + CLOSE
        case c.NotePitch():
            return any(note.midi == change.midi and note.by == "person" for note in getattr(made.performance, change.note.part))
        case c.NoteTime():
            wanted = change.start + by
            return any(abs(note.start - wanted) <= CLOSE and note.by == "person" for note in getattr(made.performance, change.note.part))
        case c.TitleSet():
            return made.title == change.title
        case c.ArtistSet():
            return made.source.tags.artist == change.artist
    raise AssertionError(change)


def near(held: Sequence[float], time: float) -> float:
    return min((abs(other - time) for other in held), default=1e9)


def sounds(made: SongMap, start: float, end: float, label: str) -> bool:
    """Whether a chord that a person set sounds in the middle of a passage."""
    middle = (start + min(end, DURATION)) / 2
    return any(held.start <= middle < held.end and same_chord(held.label, label) and held.by == "person" for held in made.chords)


def word_holds(change: c.WordText, made: SongMap, by: float) -> bool:
    at = change.word.time + by
    beside = [word for line in made.lyrics for word in line.words if abs(word.start - at) < 2.0]
    wanted = change.text.split()
    if not wanted:
        return all(plain(word.text) != plain(change.word.text) or abs(word.start - at) > 0.1 for word in beside)
    return set(wanted) <= {word.text for word in beside}


def without_report(made: SongMap) -> SongMap:
    return made.model_copy(update={"corrections": None})


def one_holds(saying: Making, analysis: SongMap, by: float) -> None:
    change, was = change_of(saying)
    done = apply(analysis, log_of((change, was)).operations)
    (outcome,) = done.outcomes
    assert outcome.text
    if outcome.outcome == "conflict":
        assert without_report(done.song_map) == without_report(analysis)
    else:
        assert holds(change, done.song_map, by), (change, outcome)
    assert document_problems(done.song_map) == []


def all_are_reported(made: list[Making], analysis: SongMap) -> None:
    log = log_of(*(change_of(saying) for saying in made))
    before = copy.deepcopy(analysis)
    done: Correcting = apply(analysis, log.operations)
    assert [outcome.id for outcome in done.outcomes] == [operation.id for operation in log.operations]
    assert document_problems(done.song_map) == [], [(outcome.kind, outcome.outcome, outcome.text) for outcome in done.outcomes]
    assert apply(analysis, log.operations) == done
    assert analysis == before
    assert SongMap.from_json(done.song_map.to_json()) == done.song_map


_QUICK = settings(max_examples=25, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
_LONG = settings(max_examples=1000, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))


@_QUICK
@given(saying=sayings, analysis=analyses())
def test_a_correction_holds_or_is_reported(saying: Making, analysis: tuple[SongMap, float]) -> None:
    one_holds(saying, *analysis)


@_QUICK
@given(made=st.lists(sayings, min_size=2, max_size=6), analysis=analyses())
def test_many_corrections_make_a_valid_map_and_each_is_reported(made: list[Making], analysis: tuple[SongMap, float]) -> None:
    all_are_reported(made, analysis[0])


@pytest.mark.slow
@_LONG
@given(saying=sayings, analysis=analyses())
def test_a_correction_holds_or_is_reported_at_length(saying: Making, analysis: tuple[SongMap, float]) -> None:
    one_holds(saying, *analysis)


@pytest.mark.slow
@_LONG
@given(made=st.lists(sayings, min_size=2, max_size=6), analysis=analyses())
def test_many_corrections_make_a_valid_map_at_length(made: list[Making], analysis: tuple[SongMap, float]) -> None:
    all_are_reported(made, analysis[0])


@_QUICK
@given(analysis=analyses())
def test_the_analyses_of_this_test_are_valid(analysis: tuple[SongMap, float]) -> None:
    assert document_problems(analysis[0]) == []
