"""Learning the kinds of chords and how sure they are, on chords of our making."""

from __future__ import annotations

import numpy as np

from tasks.chords import kinds
from tests.performance.learning.chords import Lessons, calibration_error, learn_certainty, learn_kinds


def lessons(seed: int, count: int = 120) -> Lessons:
    """Chords that are heard as major triads with little belief, of which every other one has a major seventh that sounds."""
    rng = np.random.default_rng(seed)
    index = {label: number for number, label in enumerate(kinds.labels())}
    roots = [label.split(":")[0] for label in kinds.labels()[1:13]]
    heard, right, sides = [], [], []
    for number in range(count):
        root = int(rng.integers(12))
        kind, tones = (("maj7", (0, 4, 7, 11)), ("maj", (0, 4, 7)))[number % 2]
        levels = 0.1 * rng.random((2, 12, 40))
        levels[0, [(root + tone) % 12 for tone in tones]] += 1.0
        levels[1, root] += 1.0
        sides.append(kinds.ToneLevels(levels[0], levels[1]).between(0.1, 1.5))
        heard.append(index[f"{roots[root]}:maj"])
        right.append(index[f"{roots[root]}:{kind}"])
    treble, bass = (np.stack(side) for side in zip(*sides, strict=True))
    return Lessons(np.array(heard), np.full(count, 0.4), treble, bass, np.array(right), np.full(count, 1.0 / count))


def test_what_is_learnt_hears_the_sevenths_of_other_chords() -> None:
    weights = learn_kinds(lessons(0), steps=30)
    other = lessons(1)
    scored = kinds.scores(other.heard, other.belief, other.treble, other.bass, weights)
    assert (scored.argmax(axis=1) == other.right).mean() > 0.95


def test_too_low_a_belief_becomes_the_share_that_is_right() -> None:
    rng = np.random.default_rng(0)
    beliefs = rng.uniform(0.1, 0.8, 2000)
    hits = [(float(belief), bool(rng.random() < min(belief + 0.2, 1.0))) for belief in beliefs]
    assert calibration_error(hits) > 0.15
    certainty = learn_certainty(hits, np.full(len(hits), 1.0 / len(hits)))
    assert calibration_error([(certainty.of(belief), right) for belief, right in hits]) < 0.05
