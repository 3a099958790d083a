"""Where phrases begin: how much speaks for it at each bar, and the sequence of phrases that says most at lengths that phrases have.

A phrase ends quietly, begins where timbre changes, often on the tonic, and comes again from the same bar on. How much each of these counts,
and how often phrases have so many bars, was learnt on songs of the *choose* part whose phrases people wrote down
(`tests/performance/learning/phrases.py`, which writes `learnt.json`).
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.structure.features import BarFeatures
from tasks.structure.segmentation import novelty, timbre_similarity

Floats = npt.NDArray[np.float64]

FILE: Final = Path(__file__).with_name("learnt.json")
#: What may speak for a phrase at a bar.
CUES: Final = (
    *(
        "timbre changes, 2 bars",
        "timbre changes, 4 bars",
        "comes again",
        "begins to come again",
        "the chord goes on",
        "begins on the tonic",
    ),
    *("quiet before", "louder", "as eight bars ago"),
)
#: Bars that are compared with others, and how far away these are.
_RUN: Final = 4
_AGO: Final = 8
#: Log probability, at least, of a first or last phrase of any length: as the weights' decay, chosen by three folds of the choose songs.
_ANY_LENGTH: Final = -1.0


@dataclass(frozen=True)
class PhraseModel:
    """cues: (CUES,) nats a standard deviation of each. lengths: log probability of a phrase of so many bars, from 0 on."""

    cues: Floats
    lengths: Floats


@functools.lru_cache(maxsize=1)
def phrase_model() -> PhraseModel:
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return PhraseModel(np.array(found["cues"], np.float64), np.array(found["lengths"], np.float64))


def cues(bars: BarFeatures) -> Floats:
    """(n, CUES) what speaks for a phrase that begins at each bar, in standard deviations of the song."""
    n = len(bars)
    quarters = bars.harmony.reshape(n, -1, 12)
    harmony = bars.harmony @ bars.harmony.T / quarters.shape[1]
    after = runs(harmony)
    before = np.zeros((n, n))
    before[1:, 1:] = runs(harmony[::-1, ::-1])[::-1, ::-1][:-1, :-1]
    away = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) >= _RUN
    timbre, level = timbre_similarity(bars), bars.level_db.mean(axis=1)
    tonic = quarters.mean(axis=(0, 1))
    quiet = np.array([0.0, *(level[i - 1] - level[max(0, i - _RUN) : i].mean() for i in range(1, n))])
    columns = (
        novelty(timbre, 2),
        novelty(timbre, 4),
        np.where(away, after, 0.0).max(axis=1),
        np.where(away, after - before, -1.0).max(axis=1),
        np.array([0.0, *np.sum(quarters[1:, 0] * quarters[:-1, -1], axis=1)]),
        quarters[:, 0] @ tonic / max(float(np.linalg.norm(tonic)), 1e-9),
        -quiet,
        np.array([0.0, *np.diff(level)]),
        np.array([0.5] * min(_AGO, n) + [float(after[i, i - _AGO]) for i in range(_AGO, n)]),
    )
    table = np.column_stack(columns)
    found: Floats = (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6)
    return found


def phrases_in(bars: BarFeatures, sections: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Bar indices where phrases begin, 0 first and n last; where sections are known, none goes across the beginning of one."""
    model = phrase_model()
    evidence = cues(bars) @ model.cues
    outer = (0, len(bars)) if sections is None else sections
    found = {first + place for first, last in pairwise(outer) for place in place_phrases(evidence[first:last], model.lengths)}
    return tuple(sorted(found))


def runs(similarity: Floats) -> Floats:
    """(n, n) mean likeness of the bars from i on and from j on, over as many as both have of a run."""
    n = len(similarity)
    total, count = np.zeros((n, n)), np.zeros((n, n))
    for step in range(min(_RUN, n)):
        total[: n - step, : n - step] += similarity[step:, step:]
        count[: n - step, : n - step] += 1
    return total / np.maximum(count, 1)


def place_phrases(evidence: Floats, lengths: Floats) -> tuple[int, ...]:
    """Bar indices where phrases begin, 0 first and n last: the most likely sequence.

    evidence: (n,) nats that speak for a phrase at each bar. lengths: log probability of a phrase of so many bars. The first and the last
    may be of any length, as a song is cut off, and what comes before the first downbeat, the first bar, costs nothing.
    """
    n, longest = len(evidence), len(lengths) - 1
    best, previous = np.full(n + 1, -np.inf), np.zeros(n + 1, dtype=int)
    best[0] = 0.0
    for end in range(1, n + 1):
        starts = np.arange(max(0, end - longest), end)
        likely = lengths[end - starts]
        likely = np.where((starts == 0) | (end == n), np.maximum(likely, _ANY_LENGTH), likely)
        if end == 1:
            likely = np.zeros(1)
        values = best[starts] + likely + (evidence[end] if end < n else 0.0)
        chosen = int(np.argmax(values))
        best[end], previous[end] = values[chosen], starts[chosen]
    chain = [n]
    while chain[-1] > 0:
        chain.append(int(previous[chain[-1]]))
    return tuple(reversed(chain))
