"""Beats, downbeats, tempo and meter."""

from __future__ import annotations

from collections.abc import Sequence

import mir_eval
import numpy as np

from schemas.results import BeatsKey
from tasks.evaluation.annotations import Annotations

#: Gouyon et al. (2006): a tempo is right within 4 %; accuracy 2 also takes a half, double, third or triple.
_TEMPO_TOLERANCE = 0.04
_OCTAVES = (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)


def score_beats(truth: Annotations, found: BeatsKey) -> dict[str, float]:
    """F-measure (±70 ms) and continuity of the beats; F of the downbeats; tempo accuracy 1 and 2; whether the meter is right."""
    scores: dict[str, float] = {}
    beats = [beat.time for beat in found.beats]
    if truth.beats is not None:
        scores |= beat_figures(truth.beats, beats)
    if truth.downbeats is not None:
        scores["downbeat_f"] = f_measure(truth.downbeats, found.downbeats)
    if truth.tempo_bpm is not None:
        scores |= tempo_figures(truth.tempo_bpm, found.tempo.bpm_global, octave_known=truth.beats is not None)
    if truth.meter is not None:
        scores["meter"] = float(found.meter.numerator == truth.meter)
    return scores


def beat_figures(truth: Sequence[float], found: Sequence[float]) -> dict[str, float]:
    reference, estimate = np.asarray(truth, float), np.asarray(found, float)
    _, cmlt, _, amlt = mir_eval.beat.continuity(reference, estimate)
    return {"beat_f": f_measure(truth, found), "cmlt": float(cmlt), "amlt": float(amlt)}


def tempo_figures(truth: float, found: float | None, *, octave_known: bool) -> dict[str, float]:
    """Accuracy 1 only where the annotated tempo is the beat's own."""
    ratio = (found or 0.0) / truth
    scores = {"tempo_acc2": float(any(abs(ratio / octave - 1.0) <= _TEMPO_TOLERANCE for octave in _OCTAVES))}
    if octave_known:
        scores["tempo_acc1"] = float(abs(ratio - 1.0) <= _TEMPO_TOLERANCE)
    return scores


def f_measure(truth: Sequence[float], found: Sequence[float]) -> float:
    """±70 ms, one to one, over the whole piece: the first five seconds count, too."""
    return float(mir_eval.beat.f_measure(np.asarray(truth, float), np.asarray(found, float)))


def beat_hits(truth: Annotations, found: BeatsKey) -> list[tuple[float, bool]]:
    """(confidence, right) of each beat: right within 70 ms of an annotated one."""
    if not truth.beats:
        return []
    reference = np.asarray(truth.beats)
    return [(beat.confidence, bool(np.abs(reference - beat.time).min() <= 0.07)) for beat in found.beats]
