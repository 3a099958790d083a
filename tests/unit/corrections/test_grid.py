"""The grid of the beats step as a person puts it right."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas import corrections as c
from schemas.results import Beat, BeatsKey, MeterSpan, StepReport, Tempo
from tasks.corrections.grid import Grid, corrected_grid
from tasks.corrections.outcome import Conflict

DURATION = 16.0


def span(start: float, end: float, numerator: int) -> MeterSpan:
    return MeterSpan(start=start, end=end, numerator=numerator, denominator=4, confidence=0.5)


def grid(beats: Sequence[Beat], *meters: MeterSpan) -> Grid:
    return Grid(
        BeatsKey(
            report=StepReport(step="beats_key"),
            beats=tuple(beats),
            tempo=Tempo(bpm_global=60.0, confidence=0.5, curve=(), candidates=()),
            meter=meters[0],
            meter_changes=meters,
            key_spans=(),
            global_key=None,
        )
    )


@pytest.mark.parametrize("at", [8.0, 8.5])
def test_a_meter_set_where_a_passage_begins_counts_that_passage_anew(at: float) -> None:
    beats = [Beat(time=float(k), position=k % 4 + 1, confidence=0.9) for k in range(16)]
    heard = grid(beats, span(0.0, 8.0, 4), span(8.0, DURATION, 4))
    whole, _ = corrected_grid(heard, c.MeterSet(numerator=4, denominator=4, at=1.0), DURATION)
    made, outcome = corrected_grid(whole, c.MeterSet(numerator=3, denominator=4, at=at), DURATION)
    assert outcome.fate == "applied"
    assert [beat.position for beat in made.beats.beats] == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 1, 2]


@pytest.mark.parametrize("change", [c.TempoHalved(bpm=60.0), c.TempoDoubled(bpm=60.0)])
def test_a_tempo_without_beats_is_a_conflict(change: c.TempoHalved | c.TempoDoubled) -> None:
    with pytest.raises(Conflict):
        corrected_grid(grid((), span(0.0, DURATION, 4)), change, DURATION)
