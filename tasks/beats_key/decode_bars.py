"""From beat and downbeat activations to bars: the hidden Markov model of madmom's DBN, decoded in little memory.

The model is that of Böck, Krebs and Widmer (ISMIR 2016) on the state space of Krebs, Böck and Widmer (ISMIR 2015): bars of a number of
beats, each beat of one of some tempi, tempo changes only between beats. Within a beat nothing is decided, so only the first states of the
beats are kept here: the score of leaving a beat of n frames is that of entering it n frames ago plus the observations between (differences
of cumulative sums). The best path is the same as madmom's, but it takes some hundred bytes a frame where madmom's takes a full row of the
state space (12 GB for half an hour at 40 to 240 bpm). A bar may also follow one of another length, at a price: that gives meter changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.common.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Of the ISMIR 2016 paper and madmom: number of tempi, width of the tempo change distribution, share of a beat that counts as "on it".
NUM_TEMPI = 60
TRANSITION_LAMBDA = 100.0
OBSERVATION_LAMBDA = 16
#: No probability is taken as certain: a network's 0 or 1 is a rounded one.
_FLOOR = 1e-7


@dataclass(frozen=True)
class BarModel:
    """What bars there can be: their lengths in beats, the range of tempi, and how likely a bar is followed by one of another length."""

    beats_per_bar: tuple[int, ...]
    min_bpm: float
    max_bpm: float
    fps: float = 100.0
    switch_probability: float = 0.0
    num_tempi: int = NUM_TEMPI

    def intervals(self) -> Ints:
        """The modelled beat intervals in frames, ascending: every count in the range, or about `num_tempi` of them, even in log tempo."""
        shortest, longest = 60 * self.fps / self.max_bpm, 60 * self.fps / self.min_bpm
        intervals = np.arange(max(1, round(shortest)), round(longest) + 1)
        wanted = self.num_tempi
        if wanted >= len(intervals):
            return intervals.astype(np.int64)
        points = wanted
        while True:
            spaced = np.unique(np.round(np.logspace(np.log2(shortest), np.log2(longest), points, base=2)))
            if len(spaced) >= wanted:
                return spaced.astype(np.int64)
            points += 1


@dataclass(frozen=True)
class BarPath:
    """Decoded beats: frame (of the activation's peak), position in the bar from 1, and beats in its bar.

    `log_probability`: of the path and the activations, given the state it begins in.
    """

    frames: Ints
    positions: Ints
    bar_lengths: Ints
    log_probability: float


def decode_bars(activations: npt.NDArray[np.floating], model: BarModel, progress: Progress = silent) -> BarPath:
    """The most probable beats under the model, for activations (frames, 2) as of `tasks.beats_key.activations`."""
    if len(activations) == 0:
        nothing = np.zeros(0, np.int64)
        return BarPath(nothing, nothing, nothing, -math.inf)
    trellis = _Trellis(model, activations)
    trellis.fill(progress)
    entries, log_probability = trellis.best_path()
    return _pick_peaks(entries, trellis, activations, log_probability)


def log_densities(activations: npt.NDArray[np.floating]) -> Floats:
    """Log observation densities (frames, 3) of no beat, beat, downbeat."""
    clipped = np.clip(activations.astype(np.float64), _FLOOR, 1.0)
    rest = np.clip(1.0 - clipped.sum(axis=1), _FLOOR, 1.0) / (OBSERVATION_LAMBDA - 1)
    densities: Floats = np.log(np.column_stack([rest, clipped]))
    return densities


def tempo_change_log_probabilities(intervals: Ints) -> Floats:
    """Log probability (from, to) of one beat interval after another: exponential in the relative change."""
    change = np.abs(intervals[None, :] / intervals[:, None] - 1)
    probability = np.exp(-TRANSITION_LAMBDA * change)
    probability[probability <= np.spacing(1)] = 0
    probability /= probability.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log(probability)
    return logarithm


class _Trellis:
    """Scores of entering each beat of each pattern at each tempo, frame by frame, and where the best came from.

    A node is one beat of one bar length. Memory: one byte per frame, node and tempo, and the scores of the last `max interval` frames.
    """

    def __init__(self, model: BarModel, activations: npt.NDArray[np.floating]):
        self.intervals = model.intervals()
        self.beat_frames = -(-self.intervals // OBSERVATION_LAMBDA)
        self.lengths = np.array(model.beats_per_bar)
        self.node_pattern = np.repeat(np.arange(len(self.lengths)), self.lengths)
        self.node_beat = np.concatenate([np.arange(length) for length in self.lengths])
        self.first_nodes = np.flatnonzero(self.node_beat == 0)
        self.last_nodes = self.first_nodes + self.lengths - 1
        self.total = len(activations)
        sums = np.cumsum(log_densities(activations), axis=0)
        self.sums = np.concatenate([np.zeros((1, 3)), sums])
        self.change = tempo_change_log_probabilities(self.intervals)
        self.switch = _switch_log_probabilities(len(self.lengths), model.switch_probability)
        nodes, tempi = len(self.node_beat), len(self.intervals)
        self.from_tempo = np.zeros((self.total, nodes, tempi), np.uint8)
        self.from_pattern = np.zeros((self.total, len(self.lengths), tempi), np.uint8)
        self.history = int(self.intervals[-1])
        # recent[k] is the score of entering at frame `self.base + k`. Before the song, every state is as good as any other.
        self.base = -self.history
        self.recent = np.zeros((self.history, nodes, tempi))

    def fill(self, progress: Progress) -> None:
        """Run through all frames, as many at a time as the shortest beat has: within it no beat can both begin and end."""
        step = int(self.intervals[0])
        for start in range(0, self.total, step):
            stop = min(start + step, self.total)
            self._advance(start, stop)
            if start // step % 256 == 0:
                progress(start / self.total)

    def _advance(self, start: int, stop: int) -> None:
        leaving = self._leaving(np.arange(start, stop))
        before = leaving[:, np.maximum(np.arange(len(self.node_beat)) - 1, 0)]
        ends = leaving[:, self.last_nodes]  # (frames, from pattern, tempi)
        onward = ends[:, :, None, :] + self.switch[None, :, :, None]
        self.from_pattern[start:stop] = onward.argmax(axis=1)
        before[:, self.first_nodes] = onward.max(axis=1)
        scores = before[:, :, :, None] + self.change
        best = scores.argmax(axis=2)
        self.from_tempo[start:stop] = best
        entering = np.take_along_axis(scores, best[:, :, None, :], axis=2)[:, :, 0, :]
        self.recent = np.concatenate([self.recent, entering])[-self.history :]
        self.base = stop - self.history

    def _leaving(self, frames: Ints) -> Floats:
        """Scores (frames, nodes, tempi) of having gone through a beat that ends just before each of the frames."""
        begin = frames[:, None] - self.intervals
        entered = self.recent[begin - self.base, :, np.arange(len(self.intervals))].transpose(0, 2, 1)
        return entered + self._observed(begin, frames[:, None])

    def _observed(self, begin: Ints, end: Ints) -> Floats:
        """Log density (…, nodes, tempi) of the frames from `begin` to `end` (…, tempi) in a beat that began at `begin`."""
        turn = np.minimum(begin + self.beat_frames, end)
        begin, turn, end = (np.maximum(index, 0) for index in (begin, turn, end))
        on_beat = self.sums[turn] - self.sums[begin]
        rest = self.sums[end, 0] - self.sums[turn, 0]
        column = np.where(self.node_beat == 0, 2, 1)
        observed: Floats = np.moveaxis(on_beat[..., column], -1, -2) + rest[..., None, :]
        return observed

    def best_path(self) -> tuple[list[tuple[int, int, int]], float]:
        """The beats (frame, node, tempo index) of the best path, in order, and its log probability."""
        best, log_probability = (0, 0, 0), -math.inf
        for tempo, interval in enumerate(self.intervals):
            begin = np.arange(self.total - interval, self.total)
            all_begin = np.repeat(begin[:, None], len(self.intervals), axis=1)
            observed = self._observed(all_begin, np.full_like(all_begin, self.total))[:, :, tempo]
            scores = self.recent[begin - self.base, :, tempo] + observed
            k, node = np.unravel_index(int(scores.argmax()), scores.shape)
            if scores[k, node] > log_probability:
                best, log_probability = (int(begin[k]), int(node), tempo), float(scores[k, node])
        entries = [best]
        while entries[-1][0] >= 0:
            entries.append(self._predecessor(*entries[-1]))
        return entries[::-1], log_probability

    def _predecessor(self, frame: int, node: int, tempo: int) -> tuple[int, int, int]:
        previous = int(self.from_tempo[frame, node, tempo])
        begin = frame - int(self.intervals[previous])
        if self.node_beat[node] > 0:
            return begin, node - 1, previous
        pattern = self.from_pattern[frame, self.node_pattern[node], previous]
        return begin, int(self.last_nodes[pattern]), previous


def _switch_log_probabilities(patterns: int, probability: float) -> Floats:
    """Log probability (from, to) of one bar length after another."""
    if patterns == 1:
        return np.zeros((1, 1))
    matrix = np.full((patterns, patterns), probability / (patterns - 1))
    np.fill_diagonal(matrix, 1 - probability)
    with np.errstate(divide="ignore"):
        logarithm: Floats = np.log(matrix)
    return logarithm


def _pick_peaks(
    entries: list[tuple[int, int, int]], trellis: _Trellis, activations: npt.NDArray[np.floating], log_probability: float
) -> BarPath:
    """Put each beat on the highest activation within the part of it that counts as on the beat."""
    strongest = activations.max(axis=1)
    frames, positions, lengths = [], [], []
    for frame, node, tempo in entries:
        first, last = max(frame, 0), min(frame + int(trellis.beat_frames[tempo]), len(activations))
        if last <= first:
            continue
        frames.append(first + int(strongest[first:last].argmax()))
        positions.append(int(trellis.node_beat[node]) + 1)
        lengths.append(int(trellis.lengths[trellis.node_pattern[node]]))
    as_array = [np.array(values, dtype=np.int64) for values in (frames, positions, lengths)]
    return BarPath(as_array[0], as_array[1], as_array[2], log_probability)
