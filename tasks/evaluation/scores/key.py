"""Keys."""

from __future__ import annotations

from collections.abc import Sequence

import mir_eval

from schemas.results import BeatsKey, KeySpan
from tasks.evaluation.annotations import Annotations, Span


def score_key(truth: Annotations, found: BeatsKey) -> dict[str, float]:
    """MIREX weighted score of the key that holds longest, and of the keys along time, weighted by duration.

    `key_with_changes` is the latter for the songs that change their key.
    """
    if not truth.keys:
        return {}
    scores = {"key_weighted": 0.0 if found.global_key is None else weighted(longest(truth.keys).label, name(found.global_key))}
    along = along_time(truth.keys, found.key_spans)
    return {**scores, "key_along_time": along, **({"key_with_changes": along} if len(truth.keys) > 1 else {})}


def longest(keys: Sequence[Span]) -> Span:
    """The key that holds longest."""
    return max(keys, key=lambda span: span.end - span.start)


def name(key: KeySpan) -> str:
    return f"{key.tonic} {key.mode}"


def weighted(truth: str, found: str) -> float:
    """1 for the same key, 0.5 a fifth apart, 0.3 for the relative, 0.2 for the parallel key (MIREX)."""
    return float(mir_eval.key.weighted_score(truth, found))


def along_time(truth: Sequence[Span], found: Sequence[KeySpan]) -> float:
    total = sum(span.end - span.start for span in truth)
    score = 0.0
    for span in truth:
        for key in found:
            overlap = min(span.end, key.end) - max(span.start, key.start)
            if overlap > 0:
                score += overlap * weighted(span.label, name(key))
    return score / total


def key_hits(truth: Annotations, found: BeatsKey) -> list[tuple[float, bool]]:
    """(confidence, right) of the song's key."""
    if not truth.keys or found.global_key is None:
        return []
    main = longest(truth.keys)
    return [(found.global_key.confidence, weighted(main.label, name(found.global_key)) == 1.0)]
