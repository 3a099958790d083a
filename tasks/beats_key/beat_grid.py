"""From activations to the beats of a tracker: whether there is a pulse at all, where it begins and ends, how sure each beat is.

Pure: arrays in, arrays out. Times are seconds from the first frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.options import TEMPO_RANGE
from tasks.beats_key.decode_bars import BarModel, BarPath, decode_bars, log_densities
from tasks.common.calibration import logistic, logit
from tasks.common.progress import Progress, part_of, silent

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Activations below this are silence to the tracker (madmom's threshold).
THRESHOLD = 0.05
#: Log probability per frame that bars must gain over "no beats at all". Measured: noise, drones, irregular clicks -0.17 to -0.076; songs,
#: even those with faint activations, +0.013 to +0.167 (17 songs).
MIN_PULSE_GAIN = -0.05
#: Mean probability at the beats that there must be. Measured: noise and drones at most 0.07, songs 0.25 and more.
MIN_MEAN_CONFIDENCE = 0.12
#: Tempi this far outside a range, as a ratio, are still in it: half a frame of the beat period at 240 bpm.
TEMPO_SLACK = 1.02
#: Beats so many times the usual interval apart have a pause between them.
_PAUSE = 1.5
#: So many beats in a row without any activation are a pause, not a quiet bar.
MAX_UNSUPPORTED_BEATS = 32
#: What the log of a beat's activation and the log odds of its pulse are worth, and an offset (nats).
_CALIBRATION = (0.98, 0.48, 2.10)
_FLOOR = 0.02
#: A beat's activation peaks within this of its frame.
_PEAK_FRAMES = 3


@dataclass(frozen=True)
class BeatGrid:
    """Beats: times (s), positions in the bar from 1, confidences in [0, 1], length of each beat's bar; and how sure the meter is."""

    times: Floats
    positions: Ints
    confidences: Floats
    bar_lengths: Ints
    meter_confidence: float

    @property
    def downbeats(self) -> Floats:
        times: Floats = self.times[self.positions == 1]
        return times

    @staticmethod
    def empty() -> BeatGrid:
        return BeatGrid(np.zeros(0), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), 0.0)


def in_range(find: Callable[[float, float], BeatGrid], min_bpm: float, max_bpm: float) -> BeatGrid:
    """The beat grid that `find` (slowest, fastest) gives for a range of tempi (bpm); where it is empty, a slower one at twice its tempo.

    Whoever raises the slowest tempo wants a slower song counted twice as fast. No engine finds that by itself: it wants an onset on more
    than every other beat. The slower pulse is the best of all usual tempi, so that no pulse is made of every third onset.
    """
    found = find(min_bpm, max_bpm)
    if len(found.times) or min_bpm <= TEMPO_RANGE[0]:
        return found
    slower = find(*TEMPO_RANGE)
    while len(slower.times) > 1 and (bpm := 60 / float(np.median(np.diff(slower.times)))) < min_bpm / TEMPO_SLACK:
        slower = doubled(slower)
        if min_bpm / TEMPO_SLACK <= 2 * bpm <= max_bpm * TEMPO_SLACK:
            return slower
    return found


def doubled(grid: BeatGrid) -> BeatGrid:
    """The grid at twice its tempo, in bars of as many beats: a beat between each two, as sure as the less sure of them.

    Beats with a pause between them get none.
    """
    gaps = np.diff(grid.times)
    first = np.flatnonzero(gaps < _PAUSE * np.median(gaps))
    times = np.concatenate([grid.times, grid.times[first] + gaps[first] / 2])
    confidences = np.concatenate([grid.confidences, np.minimum(grid.confidences[first], grid.confidences[first + 1])])
    lengths = np.concatenate([grid.bar_lengths, grid.bar_lengths[first]])
    eighths = np.concatenate([2 * (grid.positions - 1), 2 * (grid.positions[first] - 1) + 1])
    order = np.argsort(times)
    return BeatGrid(times[order], (eighths % lengths + 1)[order], confidences[order], lengths[order], grid.meter_confidence)


def find_grid(
    activations: npt.NDArray[np.floating], min_bpm: float, max_bpm: float, fps: float = 100.0, progress: Progress = silent
) -> BeatGrid:
    """The beat grid of activations (frames, 2) as of `tasks.beats_key.activations`; empty where there is no steady pulse."""
    first, last = active_range(activations)
    active = activations[first:last]
    if len(active) < 2:
        return BeatGrid.empty()
    chosen = best_path(active, min_bpm, max_bpm, fps, progress)
    if pulse_gain(active, chosen) < MIN_PULSE_GAIN or len(chosen.frames) < 2:
        return BeatGrid.empty()
    beat_probability = active.sum(axis=1).astype(np.float64)
    confidences = peak_confidences(beat_probability, chosen.frames)
    if confidences.mean() < MIN_MEAN_CONFIDENCE:
        return BeatGrid.empty()
    grid = BeatGrid(
        times=(first + refine_peaks(beat_probability, chosen.frames)) / fps,
        positions=chosen.positions,
        confidences=confidences,
        bar_lengths=chosen.bar_lengths,
        meter_confidence=0.0,
    )
    return drop_unsupported(grid)


def active_range(activations: npt.NDArray[np.floating]) -> tuple[int, int]:
    """First and one past the last frame with any activation."""
    active = np.flatnonzero((activations >= THRESHOLD).any(axis=1))
    return (int(active[0]), int(active[-1]) + 1) if len(active) else (0, 0)


def best_path(activations: npt.NDArray[np.floating], min_bpm: float, max_bpm: float, fps: float, progress: Progress = silent) -> BarPath:
    """The more probable of the best paths in bars of three and in bars of four, as madmom chooses. Where bars begin is decided later."""
    paths = []
    for part, beats in enumerate((3, 4)):
        model = BarModel((beats,), min_bpm, max_bpm, fps)
        paths.append(decode_bars(activations, model, part_of(progress, part / 2, (part + 1) / 2)))
    return max(paths, key=lambda path: path.log_probability)


def pulse_gain(activations: npt.NDArray[np.floating], path: BarPath) -> float:
    """By how much per frame (nats) the bars explain the activations better than no beats at all."""
    without = float(log_densities(activations)[:, 0].sum())
    return (path.log_probability - without) / len(activations)


def refine_peaks(probability: Floats, frames: Ints) -> Floats:
    """Peaks to a fraction of a frame: the vertex of the parabola through a frame and its neighbours, where the frame is a local maximum."""
    inner = np.clip(frames, 1, max(1, len(probability) - 2))
    before, at, after = probability[inner - 1], probability[inner], probability[np.minimum(inner + 1, len(probability) - 1)]
    bend = before - 2 * at + after
    peaked = (inner == frames) & (at >= before) & (at >= after) & (bend < 0)
    shift = np.where(peaked, 0.5 * (before - after) / np.where(peaked, bend, 1.0), 0.0)
    refined: Floats = frames + np.clip(shift, -0.5, 0.5)
    return refined


def calibrated(confidences: Floats, probability: float) -> Floats:
    """Probabilities of being right (within 70 ms) from the networks' activations at the beats, and the probability of their pulse.

    A beat that the networks hardly hear is mostly right too, between others, if the pulse is. Fitted on the *choose* songs.
    """
    of_activation, of_pulse, offset = _CALIBRATION
    pulse = float(logit(min(probability, 0.999), least=0.001))
    return logistic(offset + of_activation * np.log(confidences + _FLOOR) + of_pulse * pulse)


def peak_confidences(probability: Floats, frames: Ints) -> Floats:
    """The highest beat probability near each beat: the network's own probability that there is a beat."""
    offsets = np.arange(-_PEAK_FRAMES, _PEAK_FRAMES + 1)
    near = np.clip(frames[:, None] + offsets, 0, len(probability) - 1)
    return np.clip(probability[near].max(axis=1), 0.0, 1.0) if len(frames) else np.zeros(0)


def drop_unsupported(grid: BeatGrid) -> BeatGrid:
    """Without the beats before the first and after the last one that is heard, and without those of long pauses."""
    heard = grid.confidences >= THRESHOLD
    if not heard.any():
        return BeatGrid.empty()
    keep = np.ones(len(heard), bool)
    edges = np.flatnonzero(np.diff(heard.astype(int))) + 1
    for run in np.split(np.arange(len(heard)), edges):
        outer = run[0] == 0 or run[-1] == len(heard) - 1
        if not heard[run[0]] and (outer or len(run) >= MAX_UNSUPPORTED_BEATS):
            keep[run] = False
    return BeatGrid(grid.times[keep], grid.positions[keep], grid.confidences[keep], grid.bar_lengths[keep], grid.meter_confidence)
