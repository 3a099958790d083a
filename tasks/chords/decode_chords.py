"""From posteriors to chords: one chord per step of a fine grid, and changes only where the evidence outweighs their cost.

A Viterbi search: a step's score for a chord is the sum of its frames' log probabilities, and every change costs the same whatever the two
chords. This is the search of the large-vocabulary model (Jiang, Chen, Li and Xia, ISMIR 2019).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.chords.posteriors import ChordPosteriors, Floats

Classes = npt.NDArray[np.int64]

#: Step of the grid: short against the shortest chords of songs, long against a frame.
STEP_SEC: Final = 0.05
#: Chords shorter than this are flicker: less than a beat at 200 bpm.
SHORTEST_SEC: Final = 0.3


@dataclass(frozen=True)
class Span:
    """A chord of the vocabulary (its index) from start to end (s)."""

    start: float
    end: float
    chord: int


def decode_chords(posteriors: ChordPosteriors, duration: float) -> list[Span]:
    """The chords of a song of so many seconds: spans that cover it, no equal neighbours, none that flickers if there are several."""
    times = step_times(duration)
    path = best_path(step_scores(posteriors, times), posteriors.change_cost)
    spans = [Span(float(times[i]), float(times[i + 1]), int(chord)) for i, chord in enumerate(path)]
    return drop_short(merge_equal(spans), posteriors, SHORTEST_SEC)


def step_times(duration: float) -> Floats:
    """(steps + 1,) seconds from 0 to the song's end, between which a chord stays the same."""
    return np.linspace(0.0, duration, max(1, int(duration / STEP_SEC)) + 1)


def step_scores(posteriors: ChordPosteriors, times: Floats) -> Floats:
    """(steps, K) log likelihood of each chord in each step."""
    # By duration, not by count: a step between two frames still says something.
    return np.array([posteriors.mean_log(start, end) * (end - start) / posteriors.hop_sec for start, end in itertools.pairwise(times)])


def best_path(scores: Floats, change_cost: float) -> Classes:
    """The best sequence of classes (steps,). scores: (steps, K) log likelihoods. change_cost: what each change costs (nats)."""
    steps, classes = scores.shape
    came_from = np.zeros((steps, classes), np.int64)
    total = scores[0].copy()
    stay = np.arange(classes)
    for i in range(1, steps):
        best = int(np.argmax(total))
        changed = total[best] - change_cost
        came_from[i] = np.where(total >= changed, stay, best)
        total = np.maximum(total, changed) + scores[i]
    path = np.zeros(steps, np.int64)
    path[-1] = int(np.argmax(total))
    for i in range(steps - 1, 0, -1):
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
