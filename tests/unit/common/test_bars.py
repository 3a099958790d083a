"""Bars of a beat grid."""

from __future__ import annotations

from tasks.common.bars import BarSpan, bar_spans


def test_bars_go_from_downbeat_to_downbeat_and_the_last_ends_a_beat_after_its_last() -> None:
    times = [0.1, 0.6, 1.1, 1.6, 2.1]
    assert bar_spans(times, [2, 1, 2, 1, 2], 9.0) == [BarSpan(0.6, 1.6, 1, 2), BarSpan(1.6, 2.6, 3, 2)]
    assert bar_spans(times, [2, 1, 2, 1, 2], 2.3)[-1].end == 2.3


def test_a_downbeat_at_the_very_end_starts_no_bar_and_a_grid_without_ones_has_none() -> None:
    assert [bar.first_beat for bar in bar_spans([0.0, 1.0, 2.0], [1, 2, 1], 2.0)] == [0]
    assert bar_spans([0.0, 1.0], [2, 3], 5.0) == []
    assert bar_spans([], [], 5.0) == []
