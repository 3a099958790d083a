"""Every rule beyond the schema: break it in one place, and the problem is named at that place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.packager.validation import validate

Document = dict[str, Any]
Change = Callable[[Document], Any]


def put(*path: str | int, value: Any) -> Change:
    """A change that puts a value at a path."""

    def change(document: Document) -> None:
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


def swap(*path: str | int) -> Change:
    """A change that swaps the first two items of the list at a path."""

    def change(document: Document) -> None:
        place: Any = document
        for part in path:
            place = place[part]
        place[0], place[1] = place[1], place[0]

    return change


def rest_of(*changes: Change) -> Change:
    def change(document: Document) -> None:
        for each in changes:
            each(document)

    return change


CASES: list[tuple[str, Change, str, str]] = [
    ("the id is not of the sound", put("id", value="f" * 16), "$.id", "ID_MISMATCH"),
    ("a beat is before the one before", put("beats", 3, value=0.2), "$.beats[3]", "NOT_SORTED"),
    ("a beat is twice there", put("beats", 5, value=2.1), "$.beats[5]", "NOT_SORTED"),
    ("a beat is after the end", put("beats", 30, value=16.2), "$.beats[30]", "OUTSIDE_SONG"),
    ("a downbeat is no beat", put("downbeats", 1, value=2.7), "$.downbeats[1]", "NOT_A_BEAT"),
    ("downbeats are not sorted", swap("downbeats"), "$.downbeats[1]", "NOT_SORTED"),
    ("a beat has no confidence", lambda d: d["beat_conf"].pop(), "$.beat_conf", "LENGTH_MISMATCH"),
    ("a bar starts beside a downbeat", put("bars", 2, "start", value=4.61), "$.bars[2].start", "NOT_A_DOWNBEAT"),
    ("a bar names another beat", put("bars", 2, "first_beat", value=8), "$.bars[2].first_beat", "BROKEN_REFERENCE"),
    ("a bar names a beat that is not there", put("bars", 2, "first_beat", value=31), "$.bars[2].first_beat", "BROKEN_REFERENCE"),
    ("a bar has more beats than there are", put("bars", 7, "beats", value=5), "$.bars[7].beats", "BROKEN_REFERENCE"),
    ("bars overlap", put("bars", 2, "end", value=6.7), "$.bars[3].start", "OVERLAP"),
    ("a downbeat has no bar", lambda d: d["bars"].pop(3), "$.bars", "NO_BAR"),
    ("the tempo curve goes back", put("tempo", "curve", 1, value=[0.05, 120.0]), "$.tempo.curve[1][0]", "NOT_SORTED"),
    ("the tempo curve leaves the song", put("tempo", "curve", 1, 0, value=17.0), "$.tempo.curve[1][0]", "OUTSIDE_SONG"),
    ("meters overlap", put("meter", "changes", 0, "end", value=7.0), "$.meter.changes[1].start", "OVERLAP"),
    ("meters are not sorted", swap("meter", "changes"), "$.meter.changes[1].start", "NOT_SORTED"),
    ("keys are not sorted", swap("key"), "$.key[1].start", "NOT_SORTED"),
    ("keys overlap", put("key", 0, "end", value=8.2), "$.key[1].start", "OVERLAP"),
    ("a chord ends before it starts", put("chords", 1, "end", value=0.5), "$.chords[1].end", "EMPTY_SPAN"),
    ("a chord has no length", put("chords", 1, "end", value=0.6), "$.chords[1].end", "EMPTY_SPAN"),
    ("chords overlap", put("chords", 1, "start", value=0.5), "$.chords[1].start", "OVERLAP"),
    ("chords leave a gap", put("chords", 2, "start", value=6.601), "$.chords[2].start", "GAP"),
    ("chords do not start at 0", put("chords", 0, "start", value=0.01), "$.chords[0].start", "GAP"),
    ("chords do not reach the end", put("chords", 2, "end", value=15.9), "$.chords[2].end", "GAP"),
    ("chords go over the end", put("chords", 2, "end", value=16.1), "$.chords[2].end", "OUTSIDE_SONG"),
    ("a chord names a beat that is not there", put("chords", 2, "end_beat", value=32), "$.chords[2].end_beat", "BROKEN_REFERENCE"),
    ("a chord ends on a beat before its first", put("chords", 1, "end_beat", value=0), "$.chords[1].end_beat", "NOT_SORTED"),
    ("a root is not the label's", put("chords", 1, "root", value="B"), "$.chords[1].root", "LABEL_MISMATCH"),
    ("sections leave a gap", put("sections", 0, "end", value=4.0), "$.sections[1].start", "GAP"),
    ("sections overlap", put("sections", 0, "end", value=5.0), "$.sections[1].start", "OVERLAP"),
    ("sections do not reach the end", lambda d: d["levels"]["coarse"].pop(), "$.levels.coarse[0].end", "GAP"),
    ("fine sections leave a gap", put("levels", "fine", 1, "start", value=2.7), "$.levels.fine[1].start", "GAP"),
    ("a second verse is counted as the first", put("sections", 2, "index", value=1), "$.sections[2].index", "WRONG_INDEX"),
    (
        "a repetition names no section",
        put("levels", "repeats", 0, "sections", 1, value=4),
        "$.levels.repeats[0].sections[1]",
        "BROKEN_REFERENCE",
    ),
    (
        "a repetition names a section of another letter",
        put("levels", "repeats", 0, "sections", 1, value=3),
        "$.levels.repeats[0].sections[1]",
        "BROKEN_REFERENCE",
    ),
    (
        "a repetition is not in order",
        put("levels", "repeats", 0, "sections", value=[2, 0]),
        "$.levels.repeats[0].sections[1]",
        "NOT_SORTED",
    ),
    ("a letter repeats twice", put("levels", "repeats", 1, "group", value="A"), "$.levels.repeats[1].group", "BROKEN_REFERENCE"),
    ("lines are not sorted", swap("lyrics"), "$.lyrics[1].start", "NOT_SORTED"),
    ("lines overlap", put("lyrics", 0, "end", value=9.1), "$.lyrics[1].start", "OVERLAP"),
    ("a word leaves its line", put("lyrics", 0, "words", 1, "end", value=2.6), "$.lyrics[0].words[1].end", "NOT_INSIDE"),
    ("a word starts before its line", put("lyrics", 0, "words", 0, "start", value=0.9), "$.lyrics[0].words[0].start", "NOT_INSIDE"),
    ("words overlap", put("lyrics", 0, "words", 1, "start", value=1.7), "$.lyrics[0].words[1].start", "OVERLAP"),
    (
        "a syllable leaves its word",
        put("lyrics", 0, "words", 0, "syllables", 1, "end", value=1.9),
        "$.lyrics[0].words[0].syllables[1].end",
        "NOT_INSIDE",
    ),
    ("a voice passage leaves the song", put("voice", "activity", 1, 1, value=16.5), "$.voice.activity[1][1]", "OUTSIDE_SONG"),
    ("voice passages overlap", put("voice", "activity", 1, 0, value=2.0), "$.voice.activity[1][0]", "OVERLAP"),
    ("notes overlap", put("performance", "bass", 1, "start", value=1.5), "$.performance.bass[1].start", "OVERLAP"),
    ("harmony overlaps itself", put("performance", "harmony", 2, "start", value=1.9), "$.performance.harmony[2].start", "OVERLAP"),
    ("harmony is not sorted", put("performance", "harmony", 1, "start", value=0.9), "$.performance.harmony[1].start", "NOT_SORTED"),
    ("harmony leaves the song", put("performance", "harmony", 0, "end", value=16.5), "$.performance.harmony[0].end", "OUTSIDE_SONG"),
    ("a note ends before it starts", put("performance", "melody", 0, "end", value=0.9), "$.performance.melody[0].end", "EMPTY_SPAN"),
    (
        "a bend is outside its note",
        put("performance", "melody", 1, "bends", 1, 0, value=2.6),
        "$.performance.melody[1].bends[1][0]",
        "NOT_INSIDE",
    ),
    ("bends are not in order", swap("performance", "melody", 1, "bends"), "$.performance.melody[1].bends[1][0]", "NOT_SORTED"),
    (
        "a part's range is not its notes'",
        put("performance", "parts", "bass", "lowest_midi", value=30),
        "$.performance.parts.bass.lowest_midi",
        "RANGE_MISMATCH",
    ),
    ("a complete map lacks a step", put("steps", "asr", "status", value="failed"), "$.status", "STATUS_MISMATCH"),
    ("a partial map lacks nothing", put("status", value="partial"), "$.status", "STATUS_MISMATCH"),
    ("an ok step is cached", put("steps", "asr", "cached", value=True), "$.steps.asr.cached", "STATUS_MISMATCH"),
    ("a cached step is not", put("steps", "chords", "cached", value=False), "$.steps.chords.cached", "STATUS_MISMATCH"),
    ("an ok step has an error", put("steps", "asr", "code", value="ENGINE_FAILED"), "$.steps.asr.code", "STATUS_MISMATCH"),
    (
        "a failed step does not say why",
        rest_of(put("status", value="partial"), put("steps", "asr", "status", value="failed")),
        "$.steps.asr.reasons",
        "STATUS_MISMATCH",
    ),
    ("a stem is there twice", put("stems", 1, "name", value="vocals"), "$.stems[1].name", "BROKEN_REFERENCE"),
    ("a stem lies above the map", put("stems", 0, "path", value="stems/../../x.wav"), "$.stems[0].path", "BROKEN_REFERENCE"),
    ("a stem has an absolute path", put("stems", 0, "path", value="/x.wav"), "$.stems[0].path", "BROKEN_REFERENCE"),
    ("a stem has a drive's path", put("stems", 0, "path", value="C:\\x.wav"), "$.stems[0].path", "BROKEN_REFERENCE"),
]


def found(document: Any) -> set[tuple[str, str]]:
    return {(problem.json_path, problem.code) for problem in validate(document)}


def test_the_golden_map_has_no_problem(document: Document) -> None:
    assert validate(document) == []


@pytest.mark.parametrize(("change", "path", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_broken_rule_is_named_at_its_place(document: Document, change: Change, path: str, code: str) -> None:
    change(document)
    assert (path, code) in found(document)


def test_all_problems_are_reported_at_once(document: Document) -> None:
    chosen = [
        case
        for case in CASES
        if case[0] in ("a beat has no confidence", "a root is not the label's", "notes overlap", "a stem is there twice")
    ]
    for _, change, _, _ in chosen:
        change(document)
    assert {(path, code) for _, _, path, code in chosen} <= found(document)


def test_a_wrong_value_does_not_hide_the_problems_beside_it(document: Document) -> None:
    document["chords"][0] = "nonsense"
    document["chords"][2]["end"] = 16.5
    document["lyrics"][0]["words"] = None
    document["lyrics"][1]["words"][0]["end"] = 9.7
    assert {
        ("$.chords[0]", "SCHEMA_TYPE"),
        ("$.chords[2].end", "OUTSIDE_SONG"),
        ("$.lyrics[0].words", "SCHEMA_TYPE"),
        ("$.lyrics[1].words[0].end", "NOT_INSIDE"),
    } <= found(document)


def test_a_microsecond_is_no_problem(document: Document) -> None:
    document["lyrics"][0]["words"][1]["end"] = 2.500001
    document["chords"][2]["start"] = 6.600001
    document["sections"][-1]["end"] = 15.999999
    assert validate(document) == []


SPAN_LISTS: tuple[tuple[str | int, ...], ...] = (
    ("chords",),
    ("sections",),
    ("levels", "coarse"),
    ("levels", "fine"),
    ("key",),
    ("meter", "changes"),
    ("lyrics",),
    ("lyrics", 0, "words"),
    ("lyrics", 0, "words", 0, "syllables"),
    ("performance", "melody"),
    ("performance", "bass"),
    ("bars",),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(data=st.data())
def test_any_span_that_is_moved_wrongly_is_named(document: Document, data: st.DataObject) -> None:
    changed = copy.deepcopy(document)
    path = data.draw(st.sampled_from(SPAN_LISTS))
    items: Any = changed
    for part in path:
        items = items[part]
    place = data.draw(st.integers(0, len(items) - 1))
    prefix = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    kind = data.draw(
        st.sampled_from(["turned round", "behind the end", "over the one before"] if place else ["turned round", "behind the end"])
    )
    if kind == "turned round":
        items[place]["start"], items[place]["end"] = items[place]["end"], items[place]["start"]
        expected = (f"{prefix}[{place}].end", "EMPTY_SPAN")
    elif kind == "behind the end":
        items[place]["end"] = changed["duration_sec"] + data.draw(st.floats(0.001, 1e6))
        expected = (f"{prefix}[{place}].end", "OUTSIDE_SONG")
    else:
        before = items[place - 1]
        length = before["end"] - before["start"]
        items[place]["start"] = before["end"] - length * data.draw(st.floats(0.01, 0.9))
        expected = (f"{prefix}[{place}].start", "OVERLAP")
        if items[place]["start"] >= before["end"] - 1e-5:
            return
    assert expected in found(changed)
