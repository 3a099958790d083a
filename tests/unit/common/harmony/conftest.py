"""Chords as they were heard, and beats and keys to set them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from schemas import results as r
from tasks.common.harmony.naming import named_chord


@pytest.fixture
def heard() -> Callable[..., r.Chords]:
    """Chords as (label, start, end) or (label, start, end, belief); belief: {label: probability}."""

    def make(*spans: tuple[str, float, float] | tuple[str, float, float, Mapping[str, float]]) -> r.Chords:
        chords = tuple(named_chord(span[1], span[2], span[0], span[3] if len(span) == 4 else {span[0]: 0.8}) for span in spans)
        return r.Chords(report=r.StepReport(step="chords"), chords=chords)

    return make


@pytest.fixture
def beats() -> Callable[..., r.BeatsKey]:
    """A grid of 4/4 beats. keys: (start, end, tonic, mode)."""

    def make(times: Sequence[float], *keys: tuple[float, float, str, r.Mode]) -> r.BeatsKey:
        end = times[-1] + 1 if times else 1.0
        whole = r.MeterSpan(start=0.0, end=end, numerator=4, denominator=4, confidence=0.9)
        spans = tuple(r.KeySpan(start=a, end=b, tonic=tonic, mode=mode, confidence=0.9) for a, b, tonic, mode in keys)
        return r.BeatsKey(
            report=r.StepReport(step="beats_key"),
            beats=tuple(r.Beat(time=time, position=i % 4 + 1, confidence=0.9) for i, time in enumerate(times)),
            tempo=r.Tempo(bpm_global=120.0, confidence=0.9, curve=(), candidates=()),
            meter=whole,
            meter_changes=(whole,),
            key_spans=spans,
            global_key=spans[0] if spans else None,
        )

    return make
