"""What the scores of many songs come to: means by data set, calibration, goals, and the difference to an earlier run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tasks.evaluation.scoring import SongScore

#: Metrics of which less is better.
LOWER_IS_BETTER: Final = frozenset({"wer", "onset_median_sec", "invented_words", "voicing_false_alarm", "residual_db"})
_BINS: Final = 10


@dataclass(frozen=True)
class Goal:
    """What a step should reach on a data set. metric: by its mean over the songs."""

    step: str
    dataset: str
    metric: str
    value: float

    def is_met(self, mean: float) -> bool:
        return mean <= self.value if self.metric in LOWER_IS_BETTER else mean >= self.value


GOALS: Final[tuple[Goal, ...]] = (
    Goal("separation", "mdbdrums", "sdr_vocals", 8.0),
    Goal("separation", "mdbdrums", "sdr_drums", 5.5),
    Goal("separation", "mdbdrums", "sdr_bass", 5.0),
    Goal("separation", "mdbdrums", "sdr_other", 4.0),
    Goal("beats_key", "mdbdrums", "beat_f", 0.97),
    Goal("beats_key", "fretsonfire", "beat_f", 0.95),
    Goal("beats_key", "pop909", "beat_f", 0.95),
    Goal("beats_key", "mdbdrums", "downbeat_f", 0.88),
    Goal("beats_key", "pop909", "key_weighted", 0.92),
    Goal("chords", "pop909", "majmin", 0.93),
    Goal("chords", "pop909", "sevenths", 0.88),
    Goal("asr", "ultrastar", "wer", 0.18),
    Goal("asr", "ultrastar", "onset_median_sec", 0.10),
    Goal("asr", "ultrastar", "onset_within_0.3s", 0.85),
    Goal("asr", "ultrastar", "invented_words", 0.0),
    Goal("asr", "mdbdrums", "invented_words", 0.0),
    Goal("melody", "ultrastar", "note_f_100ms", 0.55),
    Goal("melody", "ultrastar", "raw_chroma", 0.72),
    Goal("melody", "mdbdrums", "raw_pitch", 0.80),
    Goal("melody", "pop909", "note_f_50ms", 0.80),
    Goal("bass", "mdbdrums", "raw_chroma", 0.75),
    Goal("structure", "ultrastar", "hr_2s", 0.70),
    Goal("structure", "ultrastar", "label_accuracy", 0.60),
    Goal("structure", "pop909", "hr_2s", 0.70),
)


@dataclass(frozen=True)
class Mean:
    """A metric over the songs of a data set, or one half of it, that have it. NaN in a song leaves it out."""

    step: str
    dataset: str
    metric: str
    songs: int
    ours: float
    baseline: float | None
    split: str = ""
    """`choose` or `check`; empty where the data set is not split."""

    @property
    def goal(self) -> Goal | None:
        """Songs that constants were chosen on reach no goals."""
        if self.split == "choose":
            return None
        return next((g for g in GOALS if (g.step, g.dataset, g.metric) == (self.step, self.dataset, self.metric)), None)


def means(scores: Sequence[SongScore]) -> list[Mean]:
    """By step, data set and split."""
    return _means(scores, lambda score: score.dataset)


def style_means(scores: Sequence[SongScore]) -> list[Mean]:
    """The same for every style of the data sets that say which they have, as `dataset/style`."""
    return _means([score for score in scores if score.style], lambda score: f"{score.dataset}/{score.style}")


def _means(scores: Sequence[SongScore], group: Callable[[SongScore], str]) -> list[Mean]:
    ours: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    theirs: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for score in scores:
        for step, found in score.steps.items():
            for side, figures in ((ours, found.figures), (theirs, found.baseline)):
                for metric, value in figures.items():
                    if not math.isnan(value):
                        side[step, group(score), score.split or "", metric].append(value)
    return [
        Mean(
            step, name, metric, len(values), _mean(values), _mean(beside) if (beside := theirs[step, name, split, metric]) else None, split
        )
        for (step, name, split, metric), values in sorted(ours.items())
    ]


@dataclass(frozen=True)
class Bin:
    """What was said with a confidence between two bounds: how often, how sure on average, and how often it was right."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


def reliability(scores: Iterable[SongScore]) -> dict[str, list[Bin]]:
    """For each step, a reliability table (Guo et al., ICML 2017) over ten bins of confidence; empty bins are left out."""
    hits: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for score in scores:
        for step, found in score.steps.items():
            hits[step] += found.hits
    tables = {}
    for step, pairs in sorted(hits.items()):
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
        for confidence, right in pairs:
            bins[min(_BINS - 1, int(confidence * _BINS))].append((confidence, right))
        tables[step] = [
            Bin(n / _BINS, (n + 1) / _BINS, len(found), _mean([c for c, _ in found]), _mean([float(r) for _, r in found]))
            for n, found in enumerate(bins)
            if found
        ]
    return {step: table for step, table in tables.items() if table}


def calibration_error(table: Sequence[Bin]) -> float:
    """Expected calibration error: how far confidence and accuracy are apart, on average over what was said."""
    return sum(b.count * abs(b.confidence - b.right) for b in table) / sum(b.count for b in table)


@dataclass(frozen=True)
class Change:
    """A metric against an earlier run, over the songs that both have."""

    step: str
    dataset: str
    metric: str
    songs: int
    before: float
    now: float
    is_loss: bool


def changes(before: Mapping[str, Any], scores: Sequence[SongScore], tolerance: float = 0.005) -> list[Change]:
    """Metrics that moved since an earlier run (its JSON). A loss is beyond noise where the mean of the songs' differences is worse than the
    tolerance (0.05 for decibels), and than twice its standard error."""
    old = {(s["song"], step): found["figures"] for s in before["songs"] for step, found in s["steps"].items()}
    pairs: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for score in scores:
        for step, found in score.steps.items():
            for metric, value in found.figures.items():
                earlier = old.get((score.song, step), {}).get(metric)
                if earlier is not None and not math.isnan(value):
                    pairs[step, score.dataset, metric].append((earlier, value))
            if found.error is not None:
                for metric, earlier in old.get((score.song, step), {}).items():
                    if earlier is not None and metric not in LOWER_IS_BETTER:
                        pairs[step, score.dataset, metric].append((earlier, 0.0))
    found_changes = []
    for (step, dataset, metric), values in sorted(pairs.items()):
        gains = [(was - now) if metric in LOWER_IS_BETTER else (now - was) for was, now in values]
        gain, error = _mean(gains), _standard_error(gains)
        allowed = tolerance * (10 if "sdr" in metric or metric.endswith("_db") else 1)
        if abs(gain) > 1e-9:
            is_loss = -gain > max(allowed, 2 * error)
            found_changes.append(
                Change(step, dataset, metric, len(values), _mean([was for was, _ in values]), _mean([now for _, now in values]), is_loss)
            )
    return found_changes


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    middle = _mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values))
