"""Which of the given words each heard word is: one dynamic programme over the whole song, with repetition and omission.

The words that were heard come in the order in which they were sung; the given text is followed word by word, and left at some cost: lines
that are not sung are skipped, lines that are sung again are gone back to, at the beginning of any line. Heard words that are not in the
text (ad-libs, mistakes) match nothing. Nothing is compared but letters, so that a word that was misheard still says where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

#: What a pair is worth whose letters agree as far as this: nothing. Equal words are worth 1 to `LONG_WORTH`, by their length.
NEUTRAL: Final = 0.5
LONG_WORTH: Final = 1.6
#: A heard word that is not in the text, and a given one that was not heard, within a line that is followed.
HEARD_ALONE, GIVEN_ALONE, ASIDE_ALONE = 0.35, 0.3, 0.1
#: What a given word that was not heard costs more where there is no time for it, down from so much time.
HURRIED, PASSING_SEC = 1.0, 0.25
#: Going on at a line further down, and at one further up (a line that is sung again); where the line before it had not ended, more.
SKIP, RETURN, BROKEN_OFF = 1.6, 2.4, 0.8
#: A section's first line is where a song goes back to.
SECTION_BONUS: Final = 0.5
_SHORTEST_GRAM, _LONGEST_GRAM = 1, 2


@dataclass(frozen=True)
class Pair:
    """Heard word `heard` is given word `given`. likeness: of their letters, from 0 to 1."""

    heard: int
    given: int
    likeness: float


def likeness(heard: Sequence[str], given: Sequence[str]) -> Matrix:
    """How much the letters of words agree, from 0 to 1 for the same word: (heard, given). Dice's coefficient of single letters and pairs.

    Words as of `plain_word`.
    """
    names = {word: index for index, word in enumerate(dict.fromkeys([*heard, *given]))}
    grams: dict[str, int] = {}
    rows = [[grams.setdefault(gram, len(grams)) for gram in _grams(word)] for word in names]
    counts = np.zeros((len(names), max(1, len(grams))), np.float32)
    for row, found in enumerate(rows):
        np.add.at(counts[row], found, 1.0)
    a, b = counts[[names[word] for word in heard]], counts[[names[word] for word in given]]
    # Dice's coefficient of counts needs their minima; of unit weights, products say the same for words without repeated letters.
    common = np.minimum(a @ b.T, np.minimum(a.sum(1)[:, None], b.sum(1)[None, :]))
    total = a.sum(1)[:, None] + b.sum(1)[None, :]
    alike = np.divide(2 * common, total, out=np.zeros_like(common), where=total > 0)
    same = np.array([names[word] for word in heard])[:, None] == np.array([names[word] for word in given])[None, :]
    return np.where(same, 1.0, np.minimum(alike, 0.95)).astype(np.float64)


def _grams(word: str) -> list[str]:
    padded = f"^{word}$"
    return list(word) + [padded[i : i + 2] for i in range(len(padded) - 1)]


def match(
    heard: Sequence[str],
    given: Sequence[str],
    line_starts: Sequence[int],
    section_starts: Sequence[int] = (),
    aside: Sequence[bool] | None = None,
    bonus: Matrix | None = None,
    spare_sec: Sequence[float] | None = None,
) -> tuple[Pair, ...]:
    """The pairs of the best path, by heard word. A given word may be in several pairs: it was sung again.

    heard, given: words as of `plain_word`. line_starts: indices of the given words that begin a line, from 0. section_starts: those that
    begin a section. aside: which given words are ad-libs. bonus: (heard, given), added to what pairs are worth. spare_sec: how much time
    there is before each heard word, after the one before it: where there is hardly any, given words are not passed over.
    """
    if not heard or not given:
        return ()
    alike = likeness(heard, given)
    worth = _worth(alike, heard, given)
    if bonus is not None:
        worth = worth + bonus
    alone = np.where(np.array(aside) if aside is not None else np.zeros(len(given), bool), ASIDE_ALONE, GIVEN_ALONE)
    return tuple(Pair(i, j, float(alike[i, j])) for i, j in _best_path(worth, alone, line_starts, section_starts, spare_sec))


def _worth(alike: Matrix, heard: Sequence[str], given: Sequence[str]) -> Matrix:
    lengths = np.minimum(np.array([len(w) for w in heard])[:, None], np.array([len(w) for w in given])[None, :])
    weight = np.clip(0.5 + 0.22 * lengths, 0.7, LONG_WORTH)
    found: Matrix = weight * np.where(alike >= NEUTRAL, (alike - NEUTRAL) / (1 - NEUTRAL), 2.0 * (alike - NEUTRAL))
    return found


def _best_path(
    worth: Matrix, alone: Matrix, line_starts: Sequence[int], section_starts: Sequence[int], spare_sec: Sequence[float] | None = None
) -> list[tuple[int, int]]:
    """Viterbi. State n after m heard words: the text is followed up to before given word n (0 … N)."""
    count, size = worth.shape
    skipped = np.concatenate(([0.0], np.cumsum(alone)))  # cost of passing over the words before n
    starts = np.array(sorted(set(line_starts) | {0}), dtype=np.int64)
    is_end = np.zeros(size + 1, bool)
    is_end[starts] = True
    is_end[size] = True
    cheaper = np.where(np.isin(starts, np.array(list(section_starts), dtype=np.int64)), SECTION_BONUS, 0.0)
    leaving = np.where(is_end, 0.0, BROKEN_OFF)
    indices = np.arange(size + 1)

    # from_pair[m, n]: the pair (m-1, n-1) ends in n. entered[m, n]: the state that n was entered from, at the same m, without a heard word.
    from_pair = np.zeros((count + 1, size + 1), bool)
    entered = np.tile(indices, (count + 1, 1))
    value = np.full(size + 1, -np.inf)
    value[0] = 0.0
    value, entered[0] = _moved(value, skipped, starts, cheaper, leaving, first=True)
    hurry = np.zeros(count + 1)
    if spare_sec is not None:
        hurry[1:count] = HURRIED * np.clip(1 - np.asarray(spare_sec[1:]) / PASSING_SEC, 0, 1)
    for m in range(1, count + 1):
        stay = value - HEARD_ALONE
        pair = np.full(size + 1, -np.inf)
        pair[1:] = value[:-1] + worth[m - 1]
        from_pair[m] = pair > stay
        value, entered[m] = _moved(np.maximum(pair, stay), skipped + hurry[m] * indices, starts, cheaper, leaving)
    at = int(np.argmax(value - 0.15 * np.minimum(skipped[-1] - skipped, SKIP / 0.15)))
    found: list[tuple[int, int]] = []
    for m in range(count, 0, -1):
        at = int(entered[m, at])
        if from_pair[m, at]:
            at -= 1
            found.append((m - 1, at))
    return found[::-1]


def _moved(
    value: Matrix, skipped: Matrix, starts: npt.NDArray[np.int64], cheaper: Matrix, leaving: Matrix, first: bool = False
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """The values after moves in the text without a heard word, and the state each was entered from."""
    indices = np.arange(len(value))
    best, origin = value.copy(), indices.copy()
    ready = value - leaving
    # To lines further down: the best of what lies before. To lines further up, or the same: of what lies behind.
    down, down_at = _running_max(ready)
    up, up_at = _running_max(ready[::-1])
    up, up_at = up[::-1], len(value) - 1 - up_at[::-1]
    for gain, source, cost in ((down, down_at, 0.0 if first else SKIP), (up, up_at, RETURN)):
        candidate = gain[starts] - cost + cheaper
        better = candidate > best[starts]
        best[starts] = np.where(better, candidate, best[starts])
        origin[starts] = np.where(better, source[starts], origin[starts])
    passing, passing_at = _running_max(best + skipped)
    passing = passing - skipped
    further = passing > best + 1e-12
    return np.where(further, passing, best), np.where(further, origin[passing_at], origin)


def _running_max(values: Matrix) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """The largest value so far, and where it was."""
    largest = np.maximum.accumulate(values)
    where = np.where(values == largest, np.arange(len(values)), 0)
    return largest, np.maximum.accumulate(where)
