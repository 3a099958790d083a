"""Sections decided together with their names: what a network hears, what is sung, and which words come back.

A dynamic programme over bars chooses the boundaries and one function a section that explain the song best. Every bar speaks for functions:
by the network's probabilities, by whether somebody sings in it, and by whether its words are sung elsewhere too (a chorus comes back with
the same words, a verse with others). Every boundary is paid for, less where the network expects one and where timbre changes.

The network alone (its published peak picking, boundaries moved to downbeats) has the boundaries of four songs at ±2 s with F 0.48; this
decision, with the weights below, 0.70. The weights are round numbers on a plateau: the mean over 288 choices of them is 0.61.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.results import SectionLabel, Word
from tasks.structure.features import BarFeatures
from tasks.structure.segmentation import length_preference

Floats = npt.NDArray[np.float64]

#: The functions a section may have, and the network's that count as it.
NETWORK_NAMES: Final[dict[SectionLabel, tuple[str, ...]]] = {
    "intro": ("intro", "start"),
    "outro": ("outro", "end"),
    "break": ("break",),
    "instrumental": ("inst",),
    "solo": ("solo",),
    "verse": ("verse",),
    "chorus": ("chorus",),
    "bridge": ("bridge",),
}
FUNCTIONS: Final[tuple[SectionLabel, ...]] = tuple(NETWORK_NAMES)
_SUNG = np.array([name in ("verse", "chorus", "bridge") for name in FUNCTIONS])
_CHORUS = FUNCTIONS.index("chorus")

#: Nats a second of the network's word on functions: its frames are far from independent.
_NETWORK_WEIGHT = 0.1
#: Nats of a boundary: what it costs, and what the network's expectation and the change of timbre take off.
_BOUNDARY_COST = 2.0
_EXPECTED_WEIGHT = 0.5
_CHANGE_WEIGHT = 1.0
#: The same without a network, and the weight of usual lengths.
_BOUNDARY_COST_ALONE = 1.5
_CHANGE_WEIGHT_ALONE = 2.0
_LENGTH_WEIGHT_ALONE = 4.0
#: The network's probability of a boundary that neither costs nor pays: its peaks are low, a tenth is a clear one.
_EXPECTED_NEUTRAL = 0.05
#: How far from a downbeat the network's boundary may lie (s).
_EXPECTED_REACH = 1.0
#: A bar's evidence from the voice, and from repeated words where it has words.
_VOICE_WEIGHT = 1.0
_WORDS_WEIGHT = 0.5
#: Probability that a bar is sung in a section that is sung and in one that is not; that its words come back in a chorus, and elsewhere.
_SUNG_IN = (0.9, 0.2)
_REPEATED_IN = (0.8, 0.3)
#: Of a section's bars, as many as speak for its function independently of each other: makes its probability fit how often it is right.
_INDEPENDENT_BARS = 6
_LONGEST_BARS = 40
_SHORTEST_BARS = 2
#: Words in a row that must come back, this far away at least, to count as repeated.
_RUN = 4
_APART = 16


@dataclass(frozen=True)
class Functional:
    """A section: its bars, its function, and the probability of that function."""

    first: int
    last: int
    label: SectionLabel
    confidence: float


def network_evidence(function: npt.NDArray[np.float32], names: Sequence[str], fps: float, edges: Floats) -> Floats:
    """(bars, FUNCTIONS) log probability of each function in each bar. function: (names, frames) probabilities."""
    merged = np.stack([sum(function[names.index(name)] for name in NETWORK_NAMES[label]) for label in FUNCTIONS])
    evidence: Floats = np.log(np.stack([_mean(merged, fps, a, b) for a, b in itertools.pairwise(edges)]).astype(np.float64) + 1e-3)
    return evidence


def _mean(values: npt.NDArray[np.float32], fps: float, start: float, end: float) -> npt.NDArray[np.float32]:
    first = min(int(start * fps), values.shape[1] - 1)
    mean: npt.NDArray[np.float32] = values[:, first : max(first + 1, int(end * fps))].mean(axis=1)
    return mean


def expected_boundaries(section: npt.NDArray[np.float32], fps: float, edges: Floats) -> Floats:
    """(bars,) the network's highest probability of a boundary around each bar's beginning."""
    found = [
        section[max(0, int((time - _EXPECTED_REACH) * fps)) : int((time + _EXPECTED_REACH) * fps) + 1].max(initial=0.0)
        for time in edges[:-1]
    ]
    return np.array(found, dtype=np.float64)


def no_evidence(bars: int) -> Floats:
    """What stands for `network_evidence` without a network: it speaks for nothing."""
    return np.zeros((bars, len(FUNCTIONS)))


def repeated_words(words: Sequence[str]) -> list[bool]:
    """Which words stand in a run of words that is sung again elsewhere."""
    plain = [word.lower().strip(string.punctuation + string.whitespace) for word in words]
    places: dict[tuple[str, ...], list[int]] = {}
    for start in range(len(plain) - _RUN + 1):
        places.setdefault(tuple(plain[start : start + _RUN]), []).append(start)
    repeated = [False] * len(plain)
    for starts in places.values():
        for start in starts:
            if max(start - starts[0], starts[-1] - start) >= _APART:
                repeated[start : start + _RUN] = [True] * _RUN
    return repeated


def repetition_by_bar(words: Sequence[Word], edges: Floats) -> Floats:
    """(bars,) share of each bar's words that are sung again elsewhere, by duration; NaN where it has no words."""
    total = np.zeros(len(edges) - 1)
    again = np.zeros(len(edges) - 1)
    for word, repeated in zip(words, repeated_words([word.text for word in words]), strict=True):
        overlap = np.clip(np.minimum(word.end, edges[1:]) - np.maximum(word.start, edges[:-1]), 0.0, None)
        total += overlap
        again += overlap * repeated
    return np.where(total > 0, again / np.maximum(total, 1e-9), np.nan)


def function_scores(bars: BarFeatures, network: Floats, repetition: Floats) -> Floats:
    """(bars, FUNCTIONS) nats by which each bar speaks for each function."""
    voice = np.where(np.isnan(bars.vocal), 0.5, bars.vocal)[:, None]
    sung, unsung = _SUNG_IN
    by_voice = np.where(_SUNG, np.log(voice * sung + (1 - voice) * unsung), np.log(voice * (1 - sung) + (1 - voice) * sung))
    known = ~np.isnan(repetition)
    again = np.where(known, repetition, 0.0)[:, None]
    in_chorus, elsewhere = _REPEATED_IN
    by_words = np.where(_SUNG, np.log(again * elsewhere + (1 - again) * (1 - elsewhere)), 0.0)
    by_words[:, _CHORUS] = np.log(again * in_chorus + (1 - again) * (1 - in_chorus))[:, 0]
    durations = np.diff(bars.edges)[:, None]
    scores: Floats = _NETWORK_WEIGHT * durations * network + _VOICE_WEIGHT * by_voice + _WORDS_WEIGHT * known[:, None] * by_words
    return scores


def boundary_scores(expected: Floats, change: Floats) -> Floats:
    """(bars,) nats by which a section may begin at each bar. change: (bars,) how much timbre and level change there, in [0, 1]."""
    return _EXPECTED_WEIGHT * np.log(expected / _EXPECTED_NEUTRAL + 0.01) + _CHANGE_WEIGHT * change - _BOUNDARY_COST


def boundary_scores_alone(change: Floats) -> Floats:
    """The same without a network: change counts more."""
    return _CHANGE_WEIGHT_ALONE * change - _BOUNDARY_COST_ALONE


def usual_lengths() -> Floats:
    """(_LONGEST_BARS + 1,) nats that a section of so many bars is worth, without a network: four, eight and sixteen are usual."""
    return np.array([_LENGTH_WEIGHT_ALONE * length_preference(bars) for bars in range(_LONGEST_BARS + 1)])


def decide(scores: Floats, boundaries: Floats, lengths: Floats | None = None) -> list[Functional]:
    """The sections that explain the bars best.

    scores: (n, FUNCTIONS). boundaries: (n,), the first is not looked at. lengths: what a section of so many bars is worth.
    """
    n = len(scores)
    worth = np.zeros(_LONGEST_BARS + 1) if lengths is None else lengths
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0)])
    best = np.full(n + 1, -np.inf)
    best[0] = 0.0
    previous = np.zeros(n + 1, dtype=int)
    for end in range(1, n + 1):
        starts = np.arange(max(0, end - _LONGEST_BARS), end)
        inner = (starts > 0) & (end < n) & (end - starts < _SHORTEST_BARS)
        gains = (sums[end] - sums[starts]).max(axis=1) + np.where(starts > 0, boundaries[starts], 0.0) + worth[end - starts]
        values = np.where(inner, -np.inf, best[starts] + gains)
        chosen = int(np.argmax(values))
        best[end], previous[end] = values[chosen], starts[chosen]
    edges = [n]
    while edges[-1] > 0:
        edges.append(int(previous[edges[-1]]))
    sections = []
    for first, last in itertools.pairwise(reversed(edges)):
        total = sums[last] - sums[first]
        nats = total * (_INDEPENDENT_BARS / (last - first))
        probability = np.exp(nats - nats.max())
        label = int(np.argmax(total))
        sections.append(Functional(first, last, FUNCTIONS[label], float(probability[label] / probability.sum())))
    return sections
