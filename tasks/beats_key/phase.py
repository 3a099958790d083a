"""Which beats are the first of their bars, which of two interleaved pulses is the beat, and whether every other beat is none: decided for
the song, from several cues.

The networks sometimes are sure of the third beat, or of the off-beat, and the bar model follows them wherever they lead. Harmony mostly
changes on the first beat of a bar, and the kick drum marks beats rather than off-beats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.downbeat_cues import DownbeatCues, harmonic_change, strongest_near

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Nats a bar that one standard deviation of harmonic change is worth. Of 28 songs (13 pieces with drums, 15 of piano), the networks had the
#: bars of 25 right, the harmony alone of 27, and both together, with this weight, of all. Four of the 28 have no annotated bars: there, the
#: first annotated beat was taken for the first of a bar.
HARMONY_WEIGHT = 8.0
#: Beats on either side of a bar line over which the harmony is compared.
_HARMONY_BEATS = 2
#: With fewer bars, the networks are believed.
MIN_BARS = 4
#: No network's word is taken as certain.
_CLIP = 0.02
_OFFSET = 0.01
#: Intervals this close (relative) to the median are steady; a run of so many beats at such intervals holds one pulse.
_STEADY = 0.06
_RUN_BEATS = 8
#: So much of the song must be in runs, and so much on each of the two pulses, for the tracker to have wavered between them.
_STEADY_SHARE = 0.8
_LEAST_SHARE = 0.05
#: From this tempo on, every other beat may be none: the mean log ratio of their activations, and the share of pairs that must agree.
_DOUBLED_BPM = 112.0
_DOUBLED_LOG_RATIO = 0.55
_DOUBLED_SHARE = 0.9
#: Two runs are on different pulses where this far (beats) from a whole number of beats apart.
_HALF_BEAT = 0.25


def settle(grid: BeatGrid, activations: npt.NDArray[np.floating], cues: DownbeatCues, min_bpm: float) -> BeatGrid:
    """The grid on one pulse throughout, and its bars where the cues say they begin.

    activations: of the mix, as of `beat_activations`. min_bpm: no tempo is halved to below it.
    """
    held = hold_pulse(grid, activations, cues)
    return align_bars(every_other(held, activations, min_bpm), activations, cues)


def every_other(grid: BeatGrid, activations: npt.NDArray[np.floating], min_bpm: float) -> BeatGrid:
    """The grid at half the tempo, where the networks are sure of every other beat only, and half the tempo is not below `min_bpm`.

    A tracker that may double the tempo of a ballad finds the eighths between its beats as good a path. The activations tell: songs whose
    beats are beats have nearly equal ones on the odd and the even (a log ratio of at most 0.54 in 37 songs), doubled ones have not (0.61 to
    1.41 in the four there were).
    """
    bpm = 60.0 / float(np.median(np.diff(grid.times))) if len(grid.times) >= 2 * _RUN_BEATS else 0.0
    if bpm < _DOUBLED_BPM or bpm / 2 < min_bpm:
        return grid
    logs = np.log(strongest_near(activations.sum(axis=1), grid.times) + _CLIP)
    pairs = logs[: len(logs) // 2 * 2].reshape(-1, 2)
    difference = pairs[:, 0] - pairs[:, 1]
    stronger = 0 if difference.mean() > 0 else 1
    agreeing = float(np.mean(difference > 0 if stronger == 0 else difference < 0))
    if abs(float(difference.mean())) < _DOUBLED_LOG_RATIO or agreeing < _DOUBLED_SHARE:
        return grid
    kept = slice(stronger, None, 2)
    length = int(np.bincount(grid.bar_lengths).argmax())
    times = grid.times[kept]
    positions = (np.arange(len(times)) % length + 1).astype(np.int64)
    return BeatGrid(times, positions, grid.confidences[kept], np.full(len(times), length, np.int64), grid.meter_confidence)


def align_bars(grid: BeatGrid, activations: npt.NDArray[np.floating], cues: DownbeatCues) -> BeatGrid:
    """Move the bar lines of a grid with one meter to the beats that the cues speak for most."""
    length = int(grid.bar_lengths[0]) if len(grid.times) else 0
    if length < 2 or len(grid.times) < MIN_BARS * length or (grid.bar_lengths != length).any():
        return grid
    networks = [activations, *([cues.drums] if cues.drums is not None else [])]
    heard = np.mean([bar_likelihoods(network, grid.times, length) for network in networks], axis=0)
    period = float(np.median(np.diff(grid.times)))
    change = harmonic_change(cues, grid.times, _HARMONY_BEATS * period)
    score = heard + HARMONY_WEIGHT * standing_out(change, length)
    first = int(score.argmax())
    positions = (np.arange(len(grid.times)) - first) % length + 1
    return BeatGrid(grid.times, positions.astype(np.int64), grid.confidences, grid.bar_lengths, grid.meter_confidence)


def bar_likelihoods(activations: npt.NDArray[np.floating], times: Floats, length: int) -> Floats:
    """For each beat that the first bar could begin with: log likelihood a bar of the networks' downbeats, given that there are beats."""
    beat, downbeat = (strongest_near(activations[:, column], times) for column in (0, 1))
    probability = np.clip((downbeat + _OFFSET) / (beat + downbeat + 2 * _OFFSET), _CLIP, 1 - _CLIP)
    place = np.arange(len(times)) % length
    bars = len(times) / length
    return np.array(
        [(np.log(probability[place == first]).sum() + np.log(1 - probability[place != first]).sum()) / bars for first in range(length)]
    )


def standing_out(values: Floats, length: int) -> Floats:
    """For each beat of the bar: by how many standard deviations its mean is above that of all. NaN are left out."""
    spread = float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
    if spread == 0.0:
        return np.zeros(length)
    place = np.arange(len(values)) % length
    standard = (values - np.nanmean(values)) / spread
    means = [standard[(place == beat) & np.isfinite(standard)] for beat in range(length)]
    return np.array([float(of_beat.mean()) if len(of_beat) else 0.0 for of_beat in means])


def hold_pulse(grid: BeatGrid, activations: npt.NDArray[np.floating], cues: DownbeatCues) -> BeatGrid:
    """Where the tracker wavers between two pulses half a beat apart, the one whose beats have the kick drum, throughout the song."""
    if cues.kick is None or len(grid.times) < 8:
        return grid
    period = float(np.median(np.diff(grid.times)))
    on_second = wavering(grid.times, period)
    if on_second is None:
        return grid
    pulses = [_one_pulse(grid.times, on_second == second, period) for second in (0, 1)]
    kicks = [float(strongest_near(cues.kick, pulse).mean()) for pulse in pulses]
    times = pulses[int(kicks[1] > kicks[0])]
    probability = activations.sum(axis=1)
    length = int(np.bincount(grid.bar_lengths).argmax())
    return BeatGrid(
        times,
        (np.arange(len(times)) % length + 1).astype(np.int64),
        np.clip(strongest_near(probability, times), 0.0, 1.0),
        np.full(len(times), length, np.int64),
        grid.meter_confidence,
    )


def wavering(times: Floats, period: float) -> Ints | None:
    """Which of two pulses half a beat apart each beat is on: 0, 1, or -1 between runs. None where all are on one, or nothing is steady."""
    steady = np.abs(np.diff(times) / period - 1) < _STEADY
    edges = np.flatnonzero(np.diff(np.concatenate([[False], steady, [False]]).astype(int)))
    runs = [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True) if last - first + 1 >= _RUN_BEATS]
    pulse = np.full(len(times), -1)
    current, previous = 0, None
    for first, last in runs:
        if previous is not None:
            apart = (times[first] - times[previous]) / period
            current ^= int(abs(apart - round(apart)) > _HALF_BEAT)
        pulse[first : last + 1] = current
        previous = last
    shares = [float(np.mean(pulse == which)) for which in (0, 1)]
    return pulse if sum(shares) >= _STEADY_SHARE and min(shares) >= _LEAST_SHARE else None


def _one_pulse(times: Floats, kept: npt.NDArray[np.bool_], period: float) -> Floats:
    """The beats that are kept, and beats at even distances where others were: before, between and after them."""
    own = times[kept]
    counts = np.maximum(1, np.round(np.diff(own) / period)).astype(int)
    filled = [own[:1]]
    for start, end, count in zip(own, own[1:], counts, strict=False):
        filled.append(start + (end - start) / count * np.arange(1, count + 1))
    before = own[0] - period * np.arange(1, int((own[0] - times[0]) / period + 0.75) + 1)[::-1]
    after = own[-1] + period * np.arange(1, int((times[-1] - own[-1]) / period + 0.75) + 1)
    pulse: Floats = np.concatenate([before[before >= 0], *filled, after])
    return pulse
