"""Where a song's sections begin, from its bar features: repetition by spectral clustering, change by novelty, decided together.

Repetition: bars are nodes of a graph whose edges join bars that sound alike in order (diagonals of the self-similarity) and bars that are
neighbours; the eigenvectors of its Laplacian say, for every number of clusters, which bars belong together (McFee & Ellis, "Analyzing song
structure with spectral clustering", ISMIR 2014). Change: a checkerboard kernel along the diagonal of the self-similarity (Foote, "Automatic
audio segmentation using a measure of audio novelty", ICME 2000). A dynamic programme then places the boundaries where both say so, and
prefers lengths of four, eight and sixteen bars (Marmoret et al., "Barwise music structure analysis", TISMIR 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.structure.features import BarFeatures

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Numbers of clusters that vote on boundaries.
CLUSTERS = tuple(range(2, 11))
#: Bars over which similarity is averaged along the diagonal: a phrase.
_PHRASE = 4
#: What a boundary of strength 0 costs: the higher, the fewer sections.
_BOUNDARY_COST = {"coarse": 0.85, "section": 0.35, "fine": 0.20}
_MIN_BARS = {"coarse": 8, "section": 4, "fine": 2}
_MAX_BARS = {"coarse": 64, "section": 32, "fine": 16}


@dataclass(frozen=True)
class Segmentation:
    """Section boundaries as bar indices, 0 first and n last, on three nested levels, and how alike bars are."""

    coarse: tuple[int, ...]
    section: tuple[int, ...]
    fine: tuple[int, ...]
    strength: Floats  # (n,) how much speaks for a boundary before each bar, in [0, 1]
    similarity: Floats  # (n, n) likeness of the phrases that begin at two bars, in [0, 1]


def segment(bars: BarFeatures, phrases: tuple[int, ...] | None = None) -> Segmentation:
    """Segment a song on three levels. phrases: the fine level where it is known. A song of fewer than eight bars is one section."""
    n = len(bars)
    similarity = phrase_similarity(bars)
    if n < 2 * _MIN_BARS["section"]:
        whole = (0, n)
        return Segmentation(whole, whole, whole, np.zeros(n), similarity)
    strength = boundary_strength(bars, similarity)
    fine = place_boundaries(strength, "fine") if phrases is None else phrases
    section = place_boundaries(strength, "section", allowed=fine)
    coarse = place_boundaries(strength, "coarse", allowed=section)
    return Segmentation(coarse, section, fine, strength, similarity)


def phrase_similarity(bars: BarFeatures) -> Floats:
    """(n, n) likeness of bars in their context, in [0, 1]: harmony in order, and timbre, averaged over the phrases they are part of."""
    harmony = bars.harmony @ bars.harmony.T / (bars.harmony.shape[1] / 12)
    alike = np.clip((harmony - 0.5) / 0.5, 0.0, 1.0) * (0.5 + 0.5 * timbre_similarity(bars))
    n = len(bars)
    best = np.zeros((n, n))
    for shift in (0, _PHRASE // 2, _PHRASE - 1):
        total = np.zeros((n, n))
        count = np.zeros((n, n))
        for step in range(_PHRASE):
            offset = step - shift
            rows = slice(max(0, -offset), max(0, n - max(0, offset)))
            moved = slice(max(0, offset), max(0, n - max(0, -offset)))
            total[rows, rows] += alike[moved, moved]
            count[rows, rows] += 1
        best = np.maximum(best, total / np.maximum(count, 1))
    return best


def timbre_similarity(bars: BarFeatures) -> Floats:
    """(n, n) likeness of timbre and stem levels, in (0, 1]: a Gaussian whose width is the song's own median distance."""
    points = np.column_stack(
        [_standard(bars.timbre), 1.5 * _standard(bars.level_db), *([3 * bars.vocal] if not np.isnan(bars.vocal).any() else [])]
    )
    distance = np.sum((points[:, None] - points[None]) ** 2, axis=2)
    width = float(np.median(distance[distance > 0])) if (distance > 0).any() else 1.0
    return np.asarray(np.exp(-distance / width))


def _standard(values: Floats) -> Floats:
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 1e-6, spread, 1.0) / np.sqrt(values.shape[1]))


def boundary_strength(bars: BarFeatures, similarity: Floats) -> Floats:
    """(n,) how much speaks for a boundary before each bar, in [0, 1].

    Novelty of timbre, level and voice at two scales, and the votes of the clusterings; the weights were chosen on five annotated songs.
    Scaled so that the third strongest place, which is a boundary in any song, is 1: one abrupt change does not hide the others.
    """
    timbre = timbre_similarity(bars)
    votes = np.mean([_changes(labels) for labels in cluster_levels(bars, similarity)], axis=0)
    strength = 0.4 * novelty(timbre, 4) + 0.4 * novelty(timbre, 8) + 0.2 * votes
    strength[0] = 0.0
    reference = float(np.sort(strength)[-min(3, len(strength))])
    return np.asarray(np.clip(strength / max(reference, 1e-9), 0.0, 1.0))


def _changes(labels: Ints) -> Floats:
    return np.concatenate([[0.0], (labels[1:] != labels[:-1]).astype(float)])


def cluster_levels(bars: BarFeatures, similarity: Floats) -> list[Ints]:
    """Bar labels for each number of clusters in `CLUSTERS` (McFee & Ellis 2014, sections 2 and 3, on bars)."""
    from sklearn.cluster import KMeans

    n = len(bars)
    vectors = laplacian_eigenvectors(recurrence_graph(similarity), timbre_similarity(bars))
    levels = []
    for k in CLUSTERS:
        if k >= n:
            break
        points = vectors[:, :k]
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        points = points / np.where(norms > 1e-9, norms, 1.0)
        levels.append(np.asarray(KMeans(k, n_init=4, random_state=0).fit_predict(points), dtype=np.int64))
    return levels


def recurrence_graph(similarity: Floats) -> Floats:
    """(n, n) symmetric graph of repetitions: each bar joined to its mutual nearest neighbours outside its own surroundings."""
    n = len(similarity)
    outside = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > 2
    candidates = np.where(outside, similarity, 0.0)
    neighbours = min(n - 1, 1 + int(2 * np.ceil(np.sqrt(n))))
    threshold = np.sort(candidates, axis=1)[:, -neighbours][:, None]
    chosen = (candidates >= np.maximum(threshold, 0.05)) & outside
    return np.where(chosen & chosen.T, candidates, 0.0)


def laplacian_eigenvectors(recurrence: Floats, timbre: Floats) -> Floats:
    """(n, k) first eigenvectors of the symmetric normalised Laplacian of the combined graph."""
    from scipy.linalg import eigh

    n = len(recurrence)
    path = np.zeros((n, n))
    index = np.arange(n - 1)
    path[index, index + 1] = path[index + 1, index] = timbre[index, index + 1]
    degree_r, degree_p = recurrence.sum(axis=1), path.sum(axis=1)
    # The balance that gives both kinds of edges the same weight in a random walk (McFee & Ellis 2014, eq. 9).
    both = degree_r + degree_p
    balance = float(degree_p @ both / max(float(both @ both), 1e-12))
    graph = balance * recurrence + (1 - balance) * path
    degree = np.maximum(graph.sum(axis=1), 1e-12)
    laplacian = np.eye(n) - graph / np.sqrt(np.outer(degree, degree))
    _, vectors = eigh(laplacian, subset_by_index=[0, min(n, max(CLUSTERS)) - 1])
    return np.asarray(vectors)


def novelty(similarity: Floats, half: int) -> Floats:
    """(n,) change before each bar, in [0, 1]: a Gaussian checkerboard of 2 `half` bars along the diagonal (Foote 2000)."""
    n = len(similarity)
    offsets = np.arange(-half, half) + 0.5
    taper = np.exp(-((offsets / half) ** 2) * 2)
    kernel = np.outer(np.sign(offsets) * taper, np.sign(offsets) * taper)
    padded = np.pad(similarity, half, mode="edge")
    curve = np.array([np.sum(padded[i : i + 2 * half, i : i + 2 * half] * kernel) for i in range(n)])
    curve = np.clip(curve, 0.0, None)
    curve[0] = 0.0
    return np.asarray(curve / max(float(curve.max()), 1e-9))


def place_boundaries(strength: Floats, level: str, allowed: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The boundaries of a level: bar indices with 0 and n, chosen among `allowed`, that gain most strength at the level's cost each.

    First and last section may be shorter than the level's least length: songs have pick-ups and fade-outs.
    """
    n = len(strength)
    cost, shortest, longest = _BOUNDARY_COST[level], _MIN_BARS[level], _MAX_BARS[level]
    places = sorted({0, n, *(allowed if allowed is not None else range(n + 1))})
    best = {0: 0.0}
    previous: dict[int, int] = {}
    for end in places[1:]:
        options = []
        for start in places:
            length = end - start
            if start >= end or start not in best:
                continue
            at_edge = start == 0 or end == n
            if length < (max(2, shortest // 2) if at_edge else shortest):
                continue
            too_long = max(0, length - longest) * 0.1
            gain = float(strength[end]) - cost if end < n else 0.0
            options.append((best[start] + gain + length_preference(length) - too_long, -start))
        if options:
            value, start = max(options)
            best[end] = value
            previous[end] = -start
    if n not in best:
        return (0, n)
    chain = [n]
    while chain[-1] != 0:
        chain.append(previous[chain[-1]])
    return tuple(reversed(chain))


def length_preference(bars: int) -> float:
    """What a section of this many bars is worth: phrases are four bars, sections eight and sixteen."""
    if bars % 8 == 0:
        return 0.25
    if bars % 4 == 0:
        return 0.15
    return 0.05 if bars % 2 == 0 else 0.0
