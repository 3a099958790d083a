"""Meters from bar lengths."""

from __future__ import annotations

import numpy as np

from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.meter import main_meter, meter_spans


def grid(lengths: list[int], period: float = 0.5) -> BeatGrid:
    positions = np.concatenate([np.arange(1, length + 1) for length in lengths])
    count = len(positions)
    return BeatGrid(1 + period * np.arange(count), positions, np.full(count, 0.8), np.repeat(lengths, lengths), 0.9)


def test_one_meter_covers_the_song():
    (span,) = meter_spans(grid([4] * 5), 12.5)
    assert (span.start, span.end, span.numerator, span.denominator, span.confidence) == (0.0, 12.5, 4, 4, 0.9)


def test_changes_lie_on_the_first_downbeat_of_the_new_meter():
    spans = meter_spans(grid([4] * 4 + [3] * 8 + [4] * 4), 30.0)
    assert [(span.start, span.end, span.numerator) for span in spans] == [(0.0, 9.0, 4), (9.0, 21.0, 3), (21.0, 30.0, 4)]
    assert main_meter(spans).numerator == 4


def test_six_beats_are_eighths_and_seven_are_when_they_are_fast():
    assert meter_spans(grid([6] * 4), 20.0)[0].denominator == 8
    assert meter_spans(grid([7] * 4, period=0.3), 20.0)[0].denominator == 8
    assert meter_spans(grid([7] * 4, period=0.5), 20.0)[0].denominator == 4
    assert meter_spans(grid([5] * 4, period=0.3), 20.0)[0].denominator == 4


def test_without_beats_the_meter_is_a_guess_of_confidence_zero():
    (span,) = meter_spans(BeatGrid.empty(), 30.0)
    assert (span.numerator, span.denominator, span.confidence, span.end) == (4, 4, 0.0, 30.0)
