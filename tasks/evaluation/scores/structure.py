"""Sections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import mir_eval
import numpy as np

from schemas.results import Section, Structure
from tasks.evaluation.annotations import Annotations, Span, label_at

#: The vocabulary of All-In-One and of the Harmonix set, into which both sides are mapped.
FUNCTIONS: Final[dict[str, str]] = {
    "intro": "intro",
    "verse": "verse",
    "prechorus": "verse",
    "pre-chorus": "verse",
    "chorus": "chorus",
    "refrain": "chorus",
    "bridge": "bridge",
    "solo": "inst",
    "instrumental": "inst",
    "interlude": "inst",
    "break": "inst",
    "outro": "outro",
}


def score_structure(truth: Annotations, found: Structure) -> dict[str, float]:
    """Hit rates of the boundaries at ±0.5, 2 and 3 s, pairwise F, and label accuracy where functions are annotated.

    Phrases (letters) are compared with the fine level.
    """
    if not truth.sections:
        return {}
    letters = truth.section_labels == "letters"
    level = found.fine if letters else found.sections
    scores = boundary_figures(truth.sections, [Span(s.start, s.end, s.group if letters else s.label) for s in level])
    if not letters:
        scores["label_accuracy"] = label_accuracy(truth.sections, found.sections)
    return scores


def boundary_figures(truth: Sequence[Span], found: Sequence[Span]) -> dict[str, float]:
    """mir_eval.segment over the time that is annotated. Its first and last boundary are the annotation's own and do not count."""
    start, end = truth[0].start, truth[-1].end
    reference, ref_labels = _intervals(truth)
    estimate, est_labels = mir_eval.util.adjust_intervals(*_intervals(found), t_min=start, t_max=end)
    # mir_eval leaves an empty interval where a boundary that was found is the very time at which the annotation begins.
    lasts = estimate[:, 1] > estimate[:, 0]
    estimate, est_labels = estimate[lasts], [label for label, keeps in zip(est_labels, lasts, strict=True) if keeps]
    reference, estimate = reference - start, estimate - start  # which mir_eval wants to begin at 0
    scores = {}
    for name, window in (("hr_0.5s", 0.5), ("hr_2s", 2.0), ("hr_3s", 3.0)):
        scores[name] = float(mir_eval.segment.detection(reference, estimate, window=window, trim=True)[2])
    scores["pairwise_f"] = float(mir_eval.segment.pairwise(reference, ref_labels, estimate, est_labels)[2])
    return scores


def label_accuracy(truth: Sequence[Span], found: Sequence[Section]) -> float:
    """Share of the annotated time that has the right function."""
    total = right = 0.0
    for span in truth:
        function = FUNCTIONS.get(span.label)
        if function is None:
            continue
        total += span.end - span.start
        for section in found:
            overlap = min(span.end, section.end) - max(span.start, section.start)
            if overlap > 0 and FUNCTIONS.get(section.label) == function:
                right += overlap
    return right / total if total else 0.0


def section_hits(truth: Annotations, found: Structure) -> list[tuple[float, bool]]:
    """(confidence, right) of each section: right where its middle has the same function."""
    if not truth.sections or truth.section_labels != "functions":
        return []
    hits = []
    for section in found.sections:
        there = label_at(truth.sections, (section.start + section.end) / 2)
        if there is not None:
            hits.append((section.confidence, FUNCTIONS.get(there) == FUNCTIONS.get(section.label)))
    return hits


def _intervals(spans: Sequence[Span]) -> tuple[np.ndarray, list[str]]:
    return np.array([(span.start, span.end) for span in spans]), [span.label for span in spans]
