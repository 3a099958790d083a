"""Chords."""

from __future__ import annotations

from collections.abc import Sequence

import mir_eval
import numpy as np

from schemas.results import Chord
from tasks.evaluation.annotations import Annotations, Span, label_at

#: Of mir_eval.chord: weighted chord symbol recall in five vocabularies, and the directional Hamming measures of the segmentation.
_METRICS = {
    "root": "root",
    "majmin": "majmin",
    "sevenths": "sevenths",
    "tetrads": "tetrads",
    "tetrads_inv": "tetrads_inv",
    "overseg": "over_segmentation",
    "underseg": "under_segmentation",
}


def score_chords(truth: Annotations, found: Sequence[Chord]) -> dict[str, float]:
    """WCSR by root, major/minor, sevenths and tetrads, these also with their bass; 1 minus over- and under-segmentation (1 is best)."""
    if not truth.chords:
        return {}
    return chord_figures(truth.chords, [Span(chord.start, chord.end, chord.label) for chord in found])


def chord_figures(truth: Sequence[Span], found: Sequence[Span]) -> dict[str, float]:
    scores = mir_eval.chord.evaluate(*_labelled(truth), *_labelled(found))
    return {ours: float(scores[theirs]) for theirs, ours in _METRICS.items()}


def chord_hits(truth: Annotations, found: Sequence[Chord]) -> list[tuple[float, bool]]:
    """(confidence, right) of each chord: right where its middle has the very chord that is printed: root, kind with all tones, and bass."""
    if not truth.chords:
        return []
    hits = []
    for chord in found:
        there = label_at(truth.chords, (chord.start + chord.end) / 2)
        if there is not None:
            right = float(mir_eval.chord.tetrads_inv([there], [chord.label])[0])
            if right >= 0:
                hits.append((chord.confidence, right == 1.0))
    return hits


def _labelled(spans: Sequence[Span]) -> tuple[np.ndarray, list[str]]:
    return np.array([(span.start, span.end) for span in spans]), [span.label for span in spans]
