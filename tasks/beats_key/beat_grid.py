"""From activations to the beat grid: which meter, whether there is a pulse at all, where the grid begins and ends, how sure each beat is.

Pure: arrays in, arrays out. Times are seconds from the first frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from schemas.options import TEMPO_RANGE
from tasks.beats_key.decode_bars import BarModel, BarPath, decode_bars, log_densities
from tasks.common.calibration import logistic
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
#: Nats that bars of three must lead bars of four by: some nine of ten songs are in four.
LEAD_OF_THREE = 2.2
#: Nats per beat that bars of five or seven must lead those by. Measured: 1.9 on a rendered piece in 5/4, at most 0.25 on songs in four.
LEAD_OF_ODD = 0.5
#: From this tempo on, bars of three may be the halves of bars of six eighths.
SIX_EIGHT_MIN_BPM = 100.0
#: How likely a bar is followed by one of another length, and how many bars a meter must hold to be one and not a slip of the tracker.
METER_SWITCH_PROBABILITY = 1e-5
MIN_METER_BARS = 4
#: How far outside the tempi of a first look a second one searches, as a ratio.
_TEMPO_MARGIN = 1.35
#: Tempi this far outside a range, as a ratio, are still in it: half a frame of the beat period at 240 bpm.
TEMPO_SLACK = 1.02
#: Beats so many times the usual interval apart have a pause between them.
_PAUSE = 1.5
#: So many beats in a row without any activation are a pause, not a quiet bar.
MAX_UNSUPPORTED_BEATS = 32
#: Slope and offset of the curve from a beat's activation to the probability that it is right: of the log activation, in nats.
_CALIBRATION = (1.42, 6.05)
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
    chosen, confidence = choose_bars(active, min_bpm, max_bpm, fps, progress)
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
        meter_confidence=confidence,
    )
    return drop_unsupported(grid)


def active_range(activations: npt.NDArray[np.floating]) -> tuple[int, int]:
    """First and one past the last frame with any activation."""
    active = np.flatnonzero((activations >= THRESHOLD).any(axis=1))
    return (int(active[0]), int(active[-1]) + 1) if len(active) else (0, 0)


def choose_bars(
    activations: npt.NDArray[np.floating], min_bpm: float, max_bpm: float, fps: float, progress: Progress = silent
) -> tuple[BarPath, float]:
    """The best bars of three to seven beats, or of three and four in turn, and the confidence in their meter.

    Bars of three and four are sought in all tempi, the others around the tempo of the better of those.
    """
    lengths: list[tuple[int, ...]] = [(3,), (4,), (5,), (7,), (6,), (3, 4)]
    only: tuple[float, float] | None = None

    def decode(beats: tuple[int, ...]) -> BarPath:
        part = lengths.index(beats) / len(lengths)
        model = BarModel(beats, min_bpm, max_bpm, fps, METER_SWITCH_PROBABILITY if len(beats) > 1 else 0.0, only=only)
        return decode_bars(activations, model, part_of(progress, part, part + 1 / len(lengths)))

    three, four = decode((3,)), decode((4,))
    lead = four.log_probability + LEAD_OF_THREE - three.log_probability
    best, other = (four, three) if lead >= 0 else (three, four)
    only = tempo_window(best, fps)
    beats = max(1, len(best.frames))
    odd = max((decode((5,)), decode((7,))), key=lambda path: path.log_probability)
    odd_lead = odd.log_probability - best.log_probability
    if odd_lead > LEAD_OF_ODD * beats:
        return odd, meter_confidence(odd_lead, beats)
    if best is three and median_bpm(three, fps) >= SIX_EIGHT_MIN_BPM:
        six = decode((6,))
        if six.log_probability > three.log_probability:
            return six, meter_confidence(six.log_probability - four.log_probability, beats)
    mixed = decode((3, 4))
    gain = mixed.log_probability - best.log_probability
    if gain > 0 and len(runs := meter_run_bars(mixed)) > 1 and min(runs) >= MIN_METER_BARS:
        return mixed, meter_confidence(gain, beats)
    return best, meter_confidence(abs(best.log_probability - other.log_probability), beats)


def tempo_window(path: BarPath, fps: float) -> tuple[float, float] | None:
    """Range (bpm) of the tempi of a path, with a margin; None where it has too few beats to say."""
    if len(path.frames) < 3:
        return None
    short, long = np.quantile(np.diff(path.frames), [0.02, 0.98])
    return 60 * fps / (float(long) * _TEMPO_MARGIN), 60 * fps * _TEMPO_MARGIN / float(short)


def meter_confidence(lead: float, beats: int) -> float:
    """Confidence in a meter from its lead (nats) over the other: logistic in twice the lead per beat.

    Per beat, because frames are far from independent and the plain odds would always say 0 or 1.
    """
    return float(1 / (1 + np.exp(-2 * lead / max(beats, 1))))


def median_bpm(path: BarPath, fps: float) -> float:
    return 60 * fps / float(np.median(np.diff(path.frames))) if len(path.frames) > 1 else 0.0


def meter_run_bars(path: BarPath) -> list[float]:
    """For how many bars each meter of the path holds, in order."""
    edges = [0, *(np.flatnonzero(np.diff(path.bar_lengths)) + 1), len(path.bar_lengths)]
    return [(end - start) / float(path.bar_lengths[start]) for start, end in itertools.pairwise(edges) if end > start] or [0.0]


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


def calibrated(grid: BeatGrid) -> BeatGrid:
    """The grid with confidences that are probabilities of being right (within 70 ms), instead of the networks' activations.

    A beat that the networks hardly hear is mostly right too: the bar model put it between others. Fitted on 12476 beats of 42 songs (three
    data sets, equally weighted), where the expected calibration error is 0.02; of the activations themselves it is 0.4.
    """
    slope, offset = _CALIBRATION
    return replace(grid, confidences=logistic(offset + slope * np.log(grid.confidences + 0.02)))


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
