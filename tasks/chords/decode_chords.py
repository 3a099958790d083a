"""From posteriors to chords on a grid of times: one chord per segment, and changes only where the evidence outweighs their cost.

A Viterbi search over segments: a segment's score for a chord is the sum of its frames' log probabilities, and every change costs the same
whatever the two chords, less on a downbeat than on another beat. This is the search of the large-vocabulary model (Jiang, Chen, Li and Xia,
ISMIR 2019) with beats as its frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.chords.chord_grid import ChordGrid
from tasks.chords.posteriors import ChordPosteriors, Floats

Classes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """A chord of the vocabulary (its index) from start to end (s)."""

    start: float
    end: float
    chord: int


def decode_chords(posteriors: ChordPosteriors, grid: ChordGrid, shortest_sec: float = 0.0) -> list[Span]:
    """The chords of a song: spans that cover the grid, no equal neighbours, none shorter than `shortest_sec` if there are several."""
    cost = posteriors.cost
    by_kind = np.array([cost.between, cost.beat, cost.downbeat])
    path = best_path(segment_scores(posteriors, grid), by_kind[grid.kinds])
    times = grid.times
    spans = [Span(float(times[i]), float(times[i + 1]), int(chord)) for i, chord in enumerate(path)]
    return drop_short(merge_equal(spans), posteriors, shortest_sec)


def segment_scores(posteriors: ChordPosteriors, grid: ChordGrid) -> Floats:
    """(segments, K) log likelihood of each chord in each grid segment."""
    pairs = list(zip(grid.times[:-1], grid.times[1:], strict=True))
    # By duration, not by count: a segment between two frames still says something.
    return np.array([posteriors.mean_log(start, end) * (end - start) / posteriors.hop_sec for start, end in pairs])


def best_path(scores: Floats, change_costs: Floats) -> Classes:
    """The best sequence of classes (segments,).

    scores: (segments, K) log likelihoods. change_costs: (segments - 1,), what a change before segment i + 1 costs.
    """
    segments, classes = scores.shape
    came_from = np.zeros((segments, classes), np.int64)
    total = scores[0].copy()
    stay = np.arange(classes)
    for i in range(1, segments):
        best = int(np.argmax(total))
        changed = total[best] - change_costs[i - 1]
        came_from[i] = np.where(total >= changed, stay, best)
        total = np.maximum(total, changed) + scores[i]
    path = np.zeros(segments, np.int64)
    path[-1] = int(np.argmax(total))
    for i in range(segments - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def merge_equal(spans: list[Span]) -> list[Span]:
    """Join neighbours that are the same chord."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].chord == span.chord:
            merged[-1] = Span(merged[-1].start, span.end, span.chord)
        else:
            merged.append(span)
    return merged


def drop_short(spans: list[Span], posteriors: ChordPosteriors, shortest_sec: float) -> list[Span]:
    """Give the time of each chord shorter than `shortest_sec` to the neighbour that fits it better, the shortest first."""
    spans = list(spans)
    while len(spans) > 1:
        i = min(range(len(spans)), key=lambda index: spans[index].end - spans[index].start)
        short = spans[i]
        if short.end - short.start >= shortest_sec - 1e-9:
            break
        fit = posteriors.mean_log(short.start, short.end)
        neighbours = [spans[j] for j in (i - 1, i + 1) if 0 <= j < len(spans)]
        heir = max(neighbours, key=lambda span: fit[span.chord])
        spans[i] = Span(short.start, short.end, heir.chord)
        spans = merge_equal(spans)
    return spans
