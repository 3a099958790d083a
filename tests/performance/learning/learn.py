"""How the networks of `tasks/beats_key/learnt.json` are learnt: which pulse is the beat, and on which beats bars begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tasks.beats_key import bars, pulse, tonality
from tasks.beats_key.evidence import KINDS, Evidence, HeardChords
from tasks.beats_key.key import WINDOW_SEC, key_name
from tasks.beats_key.learnt import Network
from tasks.common.harmony.spelling import pitch_class
from tasks.evaluation.scores.beats import f_measure
from tests.performance.learning.listen import Heard

Floats = npt.NDArray[np.float64]

#: Downbeats are learnt where the tracker's beats are right.
_RIGHT_BEATS = 0.9
#: Pulses are learnt from songs in which one of the candidates is right.
_RIGHT_PULSE = 0.8
#: How sharply the F-measure of a pulse decides which one is to be chosen.
_SHARPNESS = 20.0
_TOLERANCE_SEC = 0.07
_SEEDS = 6
#: Noise upon the standardised features while they are learnt from, in standard deviations.
_NOISE = 0.3
#: How much a song counts against the even shares that chords are taken to have before any was heard; and a window against a whole stretch.
_SONG_WEIGHT = 20.0
_WINDOW_WEIGHT = 0.4
_SHORTEST_SEC = 4.0


@dataclass(frozen=True)
class Lesson:
    """A song to learn from: what the tracker found in it, and the truth. weight: how much it counts beside others."""

    name: str
    weight: float
    times: Floats
    evidence: Evidence
    beats: Floats
    downbeats: Floats | None


@dataclass(frozen=True)
class Examples:
    """Rows of features (rows, n), what they should give (rows,), which song each is of (rows,), and how much each counts (rows,)."""

    features: Floats
    wanted: Floats
    songs: npt.NDArray[np.int64]
    weights: Floats | None = None


def pulse_examples(lessons: Sequence[Lesson], min_bpm: float, max_bpm: float) -> tuple[Examples, list[Floats]]:
    """A row a candidate; wanted: the share of belief it should get. Also each song's F-measures of its candidates."""
    rows, wanted, songs, scores = [], [], [], []
    for number, lesson in enumerate(lessons):
        found = pulse.candidates(lesson.times, min_bpm, max_bpm)
        finest = pulse.finest_places(lesson.times)
        measured = np.array([f_measure(lesson.beats, candidate.times) for candidate in found])
        belief = np.exp(_SHARPNESS * (measured - measured.max()))
        rows += [pulse.pulse_features(candidate, finest, lesson.evidence) for candidate in found]
        wanted += [*(lesson.weight * belief / belief.sum() * float(measured.max() > _RIGHT_PULSE))]
        songs += [number] * len(found)
        scores.append(measured)
    return Examples(np.array(rows), np.array(wanted), np.array(songs)), scores


def bar_examples(lessons: Sequence[Lesson]) -> Examples:
    """A row a beat; wanted: 1 for a downbeat."""
    rows, wanted, songs, weights = [], [], [], []
    for number, lesson in enumerate(lessons):
        if lesson.downbeats is None or len(lesson.downbeats) < 4 or f_measure(lesson.beats, lesson.times) < _RIGHT_BEATS:
            continue
        rows.append(bars.in_context(bars.beat_features(lesson.times, lesson.evidence)))
        near = np.abs(lesson.times[:, None] - lesson.downbeats[None]).min(axis=1) < _TOLERANCE_SEC
        wanted.append(near.astype(np.float64))
        songs += [number] * len(near)
        weights += [lesson.weight / len(near)] * len(near)
    return Examples(np.concatenate(rows), np.concatenate(wanted), np.array(songs), np.array(weights))


def learn_pulse(examples: Examples, hidden: int = 24, decay: float = 0.3, steps: int = 300) -> Network:
    """A softmax over the candidates of each song, by cross-entropy."""
    _, songs = np.unique(examples.songs, return_inverse=True)
    index, count = torch.from_numpy(songs), int(songs.max()) + 1
    wanted = torch.from_numpy(examples.wanted).float()

    def loss(scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(count).index_add(0, index, torch.exp(scores - scores.max().detach()))
        logs = scores - scores.max().detach() - torch.log(total)[index]
        return -(counts * wanted * logs).sum() / count

    return _learn(examples, loss, hidden, decay, steps)


def learn_bars(examples: Examples, hidden: int = 16, decay: float = 0.3, steps: int = 300) -> Network:
    """Logistic, each beat by its weight."""
    assert examples.weights is not None
    weights = torch.from_numpy(examples.weights).float()
    wanted = torch.from_numpy(examples.wanted).float()

    def loss(scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
        return (counts * weights * each).sum() / weights.sum()

    return _learn(examples, loss, hidden, decay, steps)


def _learn(
    examples: Examples, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], hidden: int, decay: float, steps: int
) -> Network:
    """Bagging (Breiman, 1996): each member of the network learns from another sample of the songs, drawn with replacement.

    loss: of scores (rows,) and of how often each row's song was drawn (rows,).
    """
    features = examples.features
    _, songs = np.unique(examples.songs, return_inverse=True)
    number = int(songs.max()) + 1
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = torch.from_numpy(np.clip((features - mean) / deviation, -4.0, 4.0)).float()
    members = []
    for seed in range(_SEEDS):
        torch.manual_seed(seed)
        drawn = np.bincount(np.random.default_rng(seed).integers(number, size=number), minlength=number)
        counts = torch.from_numpy(drawn[songs]).float()
        model = torch.nn.Sequential(
            torch.nn.Linear(features.shape[1], hidden), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(hidden, 1)
        )
        descent = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=decay)
        for _ in range(steps):
            descent.zero_grad()
            loss(model(standard + _NOISE * torch.randn_like(standard))[:, 0], counts).backward()
            descent.step()
        members.append([part.detach().numpy().astype(np.float64) for part in model.parameters()])
    inner, inner_bias, outer, outer_bias = (np.stack([member[part] for member in members]) for part in range(4))
    return Network(mean, deviation, inner, inner_bias, outer[:, 0], outer_bias[:, 0])


def key_label(key: int) -> str:
    """`Gb major` for a key's number."""
    return " ".join(key_name(key))


def key_number(label: str) -> int:
    """The number of a key from its label."""
    tonic, mode = label.split()
    return pitch_class(tonic) + 12 * (mode == "minor")


def network_in(heard: Heard, start: float, end: float) -> Floats:
    """(24,) what the key network makes of a stretch (s): the geometric mean over the windows whose middle lies in it."""
    middles = heard.keys.starts + heard.keys.length / 2
    inside = (middles >= start) & (middles < end)
    if not inside.any():
        away = np.abs(middles - (start + end) / 2)
        inside = away == away.min()
    found: Floats = np.exp(np.log(np.clip(heard.keys.probabilities[inside], 1e-4, 1.0)).mean(axis=0))
    return found


def chords_in_key(heard: Sequence[Heard]) -> Floats:
    """(2, 12, kinds) from annotated chords and keys: of the time in major and in minor, the share of each degree and kind."""
    total = np.full((2, 12, len(KINDS)), 1.0 / 12)
    for one in heard:
        truth = one.song.truth
        if not truth.chords or not truth.keys:
            continue
        chords = HeardChords.of_labels([(chord.start, chord.end, chord.label) for chord in truth.chords])
        counted = np.zeros_like(total)
        for span in truth.keys:
            key = key_number(span.label)
            inside = (chords.ends > span.start) & (chords.starts < span.end) & (chords.roots >= 0)
            lasts = np.minimum(chords.ends, span.end) - np.maximum(chords.starts, span.start)
            np.add.at(counted, (key // 12, (chords.roots[inside] - key) % 12, chords.kinds[inside]), lasts[inside])
        total += _SONG_WEIGHT * counted / max(float(counted.sum()), 1e-9)
    return total / total.sum(axis=(1, 2), keepdims=True)


def key_examples(heard: Sequence[Heard]) -> Examples:
    """A row a key, of every stretch in one key as a whole, and of its windows at less weight."""
    rows, wanted, stretches = [], [], 0
    for one in heard:
        if one.keys.tonality is None or not one.song.truth.keys:
            continue
        for span in one.song.truth.keys:
            end = min(span.end, one.duration)
            windows = [(at, at + WINDOW_SEC, _WINDOW_WEIGHT) for at in np.arange(span.start, end - WINDOW_SEC, WINDOW_SEC / 2)]
            for start, stop, weight in [(span.start, end, 1.0), *windows]:
                if stop - start < _SHORTEST_SEC:
                    continue
                rows.append(one.keys.tonality.features(network_in(one, start, stop), start, stop))
                right = np.zeros(24)
                right[key_number(span.label)] = weight
                wanted.append(right)
                stretches += 1
    return Examples(np.concatenate(rows), np.concatenate(wanted), np.repeat(np.arange(stretches), 24))


@contextmanager
def using(chords_in_key: Floats) -> Iterator[None]:
    """Have the features of keys use these shares of chords, which are not written yet."""
    before = tonality.chords_in_key
    tonality.chords_in_key = lambda: chords_in_key  # type: ignore[assignment]
    try:
        yield
    finally:
        tonality.chords_in_key = before
