"""From the chords that were heard to those of the Song Map."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import results as r
from tasks.common.harmony.on_beats import on_beats

Heard = Callable[..., r.Chords]
Beats = Callable[..., r.BeatsKey]
GOLDEN = Path(__file__).parent / "golden/on_beats.json"
EVERY_HALF = [0.5 * i for i in range(16)]


def shown(chords: tuple[r.Chord, ...]) -> list[tuple[str, float, float]]:
    return [(chord.label, chord.start, chord.end) for chord in chords]


def test_a_change_moves_to_the_nearest_beat(heard: Heard, beats: Beats) -> None:
    chords = on_beats(heard(("C:maj", 0, 2.1), ("A:min", 2.1, 3.8), ("F:maj", 3.8, 8)), beats(EVERY_HALF), 8.0)
    assert [(chord.label, chord.start, chord.start_beat, chord.end_beat) for chord in chords] == [
        ("C:maj", 0.0, 0, 4),
        ("A:min", 2.0, 4, 8),
        ("F:maj", 4.0, 8, 16),
    ]


def test_without_beats_chords_stay_where_they_were_heard(heard: Heard, beats: Beats) -> None:
    chords = on_beats(heard(("C:maj", 0, 2.1), ("A#:maj", 2.1, 8)), beats([], (0.0, 8.0, "F", "major")), 8.0)
    assert shown(chords) == [("C:maj", 0.0, 2.1), ("Bb:maj", 2.1, 8.0)]
    assert all(chord.start_beat is None and chord.end_beat is None for chord in chords)


def test_where_the_pulse_is_lost_a_change_stays_and_near_a_beat_it_is_on_it(heard: Heard, beats: Beats) -> None:
    grid = beats([0.5, 1.0, 1.5, 2.0, 6.0, 6.5, 7.0, 7.5])
    chords = on_beats(heard(("C:maj", 0, 2.2), ("A:min", 2.2, 3.7), ("F:maj", 3.7, 5.9), ("N", 5.9, 8)), grid, 8.0)
    assert shown(chords) == [("C:maj", 0.0, 2.0), ("A:min", 2.0, 3.7), ("F:maj", 3.7, 6.0), ("N", 6.0, 8.0)]
    assert [(chord.start_beat, chord.end_beat) for chord in chords] == [(0, 3), (3, 4), (4, 4), (4, 8)]


def test_a_chord_that_no_beat_is_left_for_gives_its_time_to_its_neighbours(heard: Heard, beats: Beats) -> None:
    chords = on_beats(heard(("C:maj", 0, 1.85), ("G:maj", 1.85, 2.2), ("F:maj", 2.2, 8)), beats(EVERY_HALF), 8.0)
    assert shown(chords) == [("C:maj", 0.0, 2.0), ("F:maj", 2.0, 8.0)]


def test_one_chord_on_both_sides_of_what_vanished_is_one_again_with_the_mean_belief(heard: Heard, beats: Beats) -> None:
    first, second = {"C:maj": 0.9, "A:min": 0.1}, {"C:maj": 0.5, "F:maj": 0.4}
    chords = on_beats(heard(("C:maj", 0, 1.85, first), ("G:maj", 1.85, 2.2), ("C:maj", 2.2, 8, second)), beats(EVERY_HALF), 8.0)
    (chord,) = chords
    assert chord.confidence == pytest.approx(0.25 * 0.9 + 0.75 * 0.5)
    assert [(other.label, other.confidence) for other in chord.alternatives] == [
        ("F:maj", pytest.approx(0.3)),
        ("A:min", pytest.approx(0.025)),
    ]


@pytest.mark.parametrize(("other", "ends"), [("C:maj", 3.9), ("F:maj", 3.6)])
def test_flicker_where_the_pulse_is_lost_goes_to_what_it_may_have_been(heard: Heard, beats: Beats, other: str, ends: float) -> None:
    grid = beats([0.5, 1.0, 1.5, 2.0, 6.0, 6.5, 7.0, 7.5])
    chords = on_beats(heard(("C:maj", 0, 3.6), ("G:maj", 3.6, 3.9, {"G:maj": 0.5, other: 0.3}), ("F:maj", 3.9, 8)), grid, 8.0)
    assert shown(chords) == [("C:maj", 0.0, ends), ("F:maj", ends, 8.0)]


def test_a_chord_is_spelled_in_the_key_that_holds_where_it_sounds(heard: Heard, beats: Beats) -> None:
    grid = beats(EVERY_HALF, (0.0, 4.5, "F", "major"), (4.5, 8.0, "B", "major"))
    chords = on_beats(heard(("Bb:maj", 0, 2), ("C:maj", 2, 4), ("Bb:maj", 4, 6), ("N", 6, 8)), grid, 8.0)
    assert [chord.label for chord in chords] == ["Bb:maj", "C:maj", "A#:maj", "N"]


def test_what_overlaps_or_has_no_harte_label_is_left_for_the_packager_to_refuse(heard: Heard, beats: Beats) -> None:
    chords = on_beats(heard(("Am7", 0, 4), ("C:maj", 2, 8)), beats(EVERY_HALF), 8.0)
    assert shown(chords) == [("Am7", 0.0, 4.0), ("C:maj", 2.0, 8.0)]


def test_no_chords_are_none(heard: Heard, beats: Beats) -> None:
    assert on_beats(heard(), beats(EVERY_HALF), 8.0) == ()


def test_a_chord_may_begin_after_the_last_beat(heard: Heard, beats: Beats) -> None:
    chords = on_beats(heard(("C:maj", 0, 3), ("N", 3, 5)), beats([0.5, 1.0, 1.5]), 5.0)
    assert [(chord.start_beat, chord.end_beat) for chord in chords] == [(0, 3), (3, 3)]


def test_it_agrees_with_the_golden_file() -> None:
    golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    chords = r.Chords(report=r.StepReport(step="chords"), chords=tuple(r.Chord(**chord) for chord in golden["heard"]))
    found = on_beats(chords, r.BeatsKey.model_validate(golden["beats"]), golden["duration"])
    assert [chord.model_dump(mode="json") for chord in found] == golden["chords"]


spans = st.lists(st.tuples(st.sampled_from(["N", "C:maj", "A:min", "F:maj", "Bb:maj"]), st.floats(0.05, 3.0)), min_size=1, max_size=12)


@given(spans, st.lists(st.floats(0.0, 30.0), max_size=30, unique=True))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chords_that_cover_the_song_still_do_wherever_the_beats_are(
    heard: Heard, beats: Beats, given_spans: list[tuple[str, float]], times: list[float]
) -> None:
    edges = [0.0, *itertools.accumulate(round(length, 6) for _, length in given_spans)]
    duration = edges[-1]
    changed = [(label, a, b) for (label, _), a, b in zip(given_spans, edges[:-1], edges[1:], strict=True)]
    merged = [(label, min(a for _, a, _ in group), max(b for _, _, b in group)) for label, group in runs(changed)]
    chords = on_beats(heard(*merged), beats(sorted(times), (0.0, duration, "F", "major")), duration)
    assert chords[0].start == 0.0
    assert chords[-1].end == round(duration, 6)
    assert all(first.end == second.start for first, second in itertools.pairwise(chords))
    assert all(first.label != second.label for first, second in itertools.pairwise(chords))
    assert all(chord.end > chord.start for chord in chords)
    assert all(0 <= chord.confidence <= 1 for chord in chords)
    if times:
        assert chords[0].start_beat == 0
        assert chords[-1].end_beat == len(times)
        assert all(first.end_beat == second.start_beat for first, second in itertools.pairwise(chords))


def runs(spans: list[tuple[str, float, float]]) -> list[tuple[str, list[tuple[str, float, float]]]]:
    """Equal neighbours together: chords that were heard have none."""
    return [(label, list(group)) for label, group in itertools.groupby(spans, key=lambda span: span[0])]
