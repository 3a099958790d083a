"""Which stretches of a song are decoded."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.results import TimeSpan
from tasks.asr.passages import BRIDGE_SEC, MAX_PASSAGE_SEC, PAD_SEC, passages_of


def spans(*times: tuple[float, float]) -> list[TimeSpan]:
    return [TimeSpan(start=start, end=end) for start, end in times]


def test_no_voice_gives_no_passages() -> None:
    assert passages_of([], 100.0) == ()


def test_a_breath_stays_inside_a_passage_and_an_instrumental_part_does_not() -> None:
    found = passages_of(spans((10, 20), (20 + BRIDGE_SEC, 40), (60, 70)), 100.0)
    assert [(passage.start, passage.end) for passage in found] == [(10 - PAD_SEC, 40 + PAD_SEC), (60 - PAD_SEC, 70 + PAD_SEC)]


def test_a_long_passage_is_cut_at_its_longest_pause() -> None:
    found = passages_of(spans((0, 70), (71, 100), (104, 170)), 170.0)
    assert [round(passage.end) for passage in found] == [100, 170]


def test_a_voice_without_any_pause_is_cut_evenly() -> None:
    found = passages_of(spans((0, 300)), 300.0)
    assert len(found) == 3
    assert found[0].end == 100.0 + PAD_SEC or found[0].end == found[1].start


@given(st.lists(st.tuples(st.floats(0.05, 200), st.floats(0.2, 300)), max_size=30))
def test_passages_hold_all_of_the_voice_never_overlap_and_stay_short(steps: list[tuple[float, float]]) -> None:
    times, now = [], 0.0
    for pause, length in steps:
        times.append((now + pause, now + pause + length))
        now += pause + length
    found = passages_of(spans(*times), now)
    for start, end in times:
        inside = sum(max(0.0, min(end, passage.end) - max(start, passage.start)) for passage in found)
        assert inside >= (end - start) - 1e-6
    assert all(after.start >= before.end for before, after in pairwise(found))
    assert all(0 <= passage.start < passage.end <= now and passage.end - passage.start <= MAX_PASSAGE_SEC + 1e-6 for passage in found)
