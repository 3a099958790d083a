"""From key probabilities over time to the keys of a song.

Conventions: keys are numbered by tonic (C = 0) for major, and 12 + tonic for minor. Windows overlap; each gives probabilities of the 24
keys. Pure: arrays in, spans out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from schemas.results import KeySpan
from tasks.beats_key.tonality import Tonality
from tasks.common.harmony import spelling

Floats = npt.NDArray[np.float64]

WINDOW_SEC = 20.0
HOP_SEC = 5.0
#: Price (nats) of a key change: twice as much towards the keys that recognisers confuse with the true one (a fifth up or down, relative,
#: parallel), since there the evidence for a change is weakest. High enough that a song has one key unless several windows in a row
#: disagree.
CHANGE_COST = 5.0
CONFUSABLE_COST = 10.0
#: Where the chords speak too, the evidence is better, and a change costs so much of that.
_WITH_CHORDS = 0.6
#: Mean over the windows of the highest probability, below which nothing pitched is heard. Measured: noise, clicks, drones and silence
#: 0.10-0.22, drum stems alone 0.12-0.43 (8 pieces), songs 0.55-1.0.
MIN_CLARITY = 0.4
#: Share of a song that must have chords for it to have a key. Measured: noise and clicks 0, drum stems 0 (5 pieces), a drone 0.26, songs
#: and renders 0.5 to 1 but for two of 180.
MIN_CHORD_SHARE = 0.4


@dataclass(frozen=True)
class KeyPosteriors:
    """Probabilities (windows, 24) of the keys in windows of `length` seconds that begin at `starts`; and what else tells the key."""

    starts: Floats
    length: float
    probabilities: Floats
    tonality: Tonality | None = None


def window_starts(duration: float) -> tuple[list[float], float]:
    """Where the windows over a song begin, and how long they are: the last one ends with the song."""
    length = min(WINDOW_SEC, duration)
    count = max(0, int(np.ceil((duration - length) / HOP_SEC)))
    return [*(HOP_SEC * i for i in range(count)), duration - length], length


def find_keys(
    posteriors: KeyPosteriors, downbeats: Sequence[float], duration: float, min_clarity: float = MIN_CLARITY
) -> tuple[tuple[KeySpan, ...], KeySpan | None]:
    """The keys in order, covering the song, with changes on downbeats; and the key that holds longest. Nothing where nothing is pitched."""
    probabilities = posteriors.probabilities
    if len(probabilities) == 0 or duration <= 0 or not _is_pitched(posteriors, duration, min_clarity):
        return (), None
    if posteriors.tonality is None:
        path = smooth(probabilities, overlap=_overlap(posteriors))
        runs = _runs(path)
        of_runs = np.array([probabilities[first:last].mean(axis=0) for first, last in runs])
        keys = path[[first for first, _ in runs]]
    else:
        path = smooth(in_windows(posteriors, posteriors.tonality), _overlap(posteriors), _WITH_CHORDS)
        runs, of_runs = settle(posteriors, path, posteriors.tonality)
        keys = of_runs.argmax(axis=1)
    edges = [0.0, *_changes(posteriors, runs, downbeats), duration]
    pieces = [
        (int(key), start, end, float(found[key]))
        for key, found, start, end in zip(keys, of_runs, edges, edges[1:], strict=False)
        if end > start
    ]
    held, sure = np.zeros(24), np.zeros(24)
    for key, start, end, confidence in pieces:
        held[key] += end - start
        sure[key] += confidence * (end - start)
    longest = int(held.argmax())
    spans = tuple(_span(key, start, end, confidence) for key, start, end, confidence in pieces)
    return spans, _span(longest, 0.0, duration, float(sure[longest] / held[longest]))


def _is_pitched(posteriors: KeyPosteriors, duration: float, min_clarity: float) -> bool:
    """Whether anything is there that could be in a key: chords, where they were looked for; otherwise clear key probabilities."""
    share = posteriors.tonality.chord_share(duration) if posteriors.tonality is not None else None
    return share >= MIN_CHORD_SHARE if share is not None else float(posteriors.probabilities.max(axis=1).mean()) >= min_clarity


def in_windows(posteriors: KeyPosteriors, tonality: Tonality) -> Floats:
    """(windows, 24) the probabilities of the keys by all that tells them, window by window."""
    return np.array(
        [
            tonality.probabilities(network, float(start), float(start) + posteriors.length)
            for start, network in zip(posteriors.starts, posteriors.probabilities, strict=True)
        ]
    )


def smooth(probabilities: Floats, overlap: float = 1.0, price: float = 1.0) -> npt.NDArray[np.int64]:
    """The most probable sequence of keys (Viterbi). `overlap`: in how many windows each moment is heard; their evidence counts once.

    price: of the cost of a change, so much.
    """
    evidence = np.log(np.clip(probabilities, 1e-4, 1.0)) / overlap
    cost = price * change_costs()
    score = evidence[0]
    origins = np.zeros(evidence.shape, np.int64)
    for index in range(1, len(evidence)):
        candidates = score[:, None] - cost
        origins[index] = candidates.argmax(axis=0)
        score = candidates.max(axis=0) + evidence[index]
    path = np.empty(len(evidence), np.int64)
    path[-1] = int(score.argmax())
    for index in range(len(evidence) - 1, 0, -1):
        path[index - 1] = origins[index, path[index]]
    return path


def settle(posteriors: KeyPosteriors, path: npt.NDArray[np.int64], tonality: Tonality) -> tuple[list[tuple[int, int]], Floats]:
    """The runs of windows in one key, and the probabilities (runs, 24) of the keys of each run as a whole. Equal neighbours are one."""
    runs = _runs(path)
    while True:
        found = np.array([_of_run(posteriors, run, tonality) for run in runs])
        keys = found.argmax(axis=1)
        merged = [(runs[first][0], runs[last - 1][1]) for first, last in _runs(keys)]
        if len(merged) == len(runs):
            return runs, found
        runs = merged


def _of_run(posteriors: KeyPosteriors, run: tuple[int, int], tonality: Tonality) -> Floats:
    first, last = run
    start, end = float(posteriors.starts[first]), float(posteriors.starts[last - 1]) + posteriors.length
    # The first and the last window reach into the neighbouring keys.
    start += 0.0 if first == 0 else posteriors.length / 2 - HOP_SEC / 2
    end -= 0.0 if last == len(posteriors.starts) else posteriors.length / 2 - HOP_SEC / 2
    network = np.exp(np.log(np.clip(posteriors.probabilities[first:last], 1e-4, 1.0)).mean(axis=0))
    return tonality.probabilities(network, start, end)


def relatives(key: int) -> tuple[int, int]:
    """The major key and the minor key with the key's signature."""
    major = (key - 12 + 3) % 12 if key >= 12 else key
    return major, (major + 9) % 12 + 12


def change_costs() -> Floats:
    """Cost (24 from, 24 to) of a key change in nats."""
    cost = np.full((24, 24), CHANGE_COST)
    for key in range(24):
        for other in confusable(key):
            cost[key, other] = CONFUSABLE_COST
        cost[key, key] = 0.0
    return cost


def confusable(key: int) -> tuple[int, ...]:
    """A fifth up, a fifth down, the relative and the parallel key."""
    tonic, minor = key % 12, key // 12
    relative = relatives(key)[1 - minor]
    return ((tonic + 7) % 12 + 12 * minor, (tonic + 5) % 12 + 12 * minor, relative, tonic + 12 * (1 - minor))


def key_name(key: int) -> tuple[str, Literal["major", "minor"]]:
    mode: Literal["major", "minor"] = "minor" if key >= 12 else "major"
    return spelling.tonic_name(key % 12, mode), mode


def _overlap(posteriors: KeyPosteriors) -> float:
    return max(1.0, posteriors.length / HOP_SEC) if len(posteriors.starts) > 1 else 1.0


def _runs(path: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(np.diff(path))), len(path)]
    return list(itertools.pairwise(edges))


def _changes(posteriors: KeyPosteriors, runs: list[tuple[int, int]], downbeats: Sequence[float]) -> list[float]:
    """Times of the changes between runs, ascending: midway between the windows' centres, moved to a downbeat if one is near."""
    centres = posteriors.starts + posteriors.length / 2
    changes = [float(centres[first - 1] + centres[first]) / 2 for first, _ in runs[1:]]
    grid = np.asarray(downbeats)
    for index, change in enumerate(changes):
        nearest = float(grid[np.abs(grid - change).argmin()]) if len(grid) else change
        if abs(nearest - change) <= HOP_SEC:
            changes[index] = nearest
    return changes


def _span(key: int, start: float, end: float, confidence: float) -> KeySpan:
    tonic, mode = key_name(key)
    return KeySpan(start=start, end=end, tonic=tonic, mode=mode, confidence=round(min(1.0, confidence), 4))
