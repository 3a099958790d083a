"""From bar lengths to meters with their spans. Pure."""

from __future__ import annotations

import numpy as np

from schemas.results import MeterSpan
from tasks.beats_key.beat_grid import BeatGrid

#: From this tempo on, seven beats to the bar are eighths.
_SEVEN_EIGHT_MIN_BPM = 180.0


def meter_spans(grid: BeatGrid, duration: float) -> tuple[MeterSpan, ...]:
    """All meters in order, covering the song; a change lies on the first downbeat of the new one. Without beats, 4/4 with confidence 0."""
    if len(grid.times) == 0:
        return (MeterSpan(start=0.0, end=duration, numerator=4, denominator=4, confidence=0.0),)
    changes = np.flatnonzero(np.diff(grid.bar_lengths)) + 1
    edges = [0.0, *(float(grid.times[index]) for index in changes), duration]
    firsts = [0, *(int(index) for index in changes)]
    confidence = round(grid.meter_confidence, 4)
    return tuple(
        MeterSpan(start=start, end=end, numerator=length, denominator=_denominator(grid, length), confidence=confidence)
        for start, end, length in zip(edges, edges[1:], (int(grid.bar_lengths[first]) for first in firsts), strict=False)
    )


def _denominator(grid: BeatGrid, length: int) -> int:
    """Note value of a beat: six beats to the bar are eighths, seven are if they are fast."""
    if length == 7 and len(grid.times) > 1:
        return 8 if 60 / float(np.median(np.diff(grid.times))) >= _SEVEN_EIGHT_MIN_BPM else 4
    return 8 if length == 6 else 4


def main_meter(spans: tuple[MeterSpan, ...]) -> MeterSpan:
    """The meter that holds longest, with the start and end of its longest span."""
    held: dict[tuple[int, int], float] = {}
    for span in spans:
        meter = (span.numerator, span.denominator)
        held[meter] = held.get(meter, 0.0) + span.end - span.start
    longest = max(held, key=lambda meter: held[meter])
    return max((span for span in spans if (span.numerator, span.denominator) == longest), key=lambda span: span.end - span.start)
