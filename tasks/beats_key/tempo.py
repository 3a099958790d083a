"""From beats to tempo: the song's, its course, and what else it could be. Pure.

Tempo is in beats a minute, where the beats are those of the grid: the eighths of 6/8.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from schemas.results import Tempo, TempoCandidate, TempoPoint
from tasks.beats_key.beat_grid import BeatGrid

Floats = npt.NDArray[np.float64]

#: The local tempo is the slope of a line through this many beats on either side.
_HALF_WINDOW = 8
#: Beats this close (seconds, median) to one line through the song were played to one tempo.
_STEADY_SEC = 0.025
#: Intervals this far from the local one, relative to it, are pauses or slips.
_GAP = 0.5
#: Metrical levels a listener may choose instead, as multiples of the tempo.
_LEVELS = (1.0, 0.5, 2.0, 2 / 3, 1.5)
#: Multiples of the tempo that another pulse may have.
_RATIOS = tuple(sorted({float(Fraction(over, under)) for over in (1, 2, 3, 4, 6, 9) for under in (1, 2, 3, 4, 6, 9)}))
#: A tempo whose course lies so far (mean log ratio) from one tempo breathes; beyond that it wanders, and one number hardly says it.
_BREATHES = 0.03
_WANDERS = 0.1
#: Sharpens the candidates' scores so that the weights of a clear pulse and of its octaves differ as clearly as they sound.
_SHARPNESS = 4.0


def estimate_tempo(grid: BeatGrid, beat_probability: Floats, fps: float, pulses: Sequence[tuple[float, float]] = ()) -> Tempo:
    """The tempo of a beat grid. `beat_probability` (frames,) is what the beats were found in, at `fps` frames a second.

    pulses: (bpm, probability) of what else the beats may be, the grid's own first; where there are none, the fit of the levels tells.
    """
    if len(grid.times) < 4:
        return no_tempo()
    local = local_tempi(grid.times)
    bpm = global_tempo(grid.times, local)
    weighed = _of_pulses(bpm, pulses) if pulses else _of_levels(bpm, candidate_weights(grid.times, beat_probability, fps))
    intervals = np.diff(grid.times)
    steady = float(np.mean(np.abs(intervals * (local[:-1] + local[1:]) / 120 - 1) < 0.1))
    wanders = max(0.0, float(np.mean(np.abs(np.log(local / bpm)))) - _BREATHES)
    # The pulses' weights are probabilities; the levels' only say which fits best.
    sure = weighed[bpm] if pulses else float(np.sqrt(weighed[bpm] / max(weighed.values()) * np.mean(grid.confidences)))
    return Tempo(
        bpm_global=round(bpm, 3),
        confidence=round(min(1.0, steady * float(np.exp(-wanders / _WANDERS)) * sure), 4),
        curve=_curve(grid, local),
        candidates=tuple(
            TempoCandidate(bpm=round(other, 3), weight=_floor4(weight))
            for other, weight in sorted(weighed.items(), key=lambda pair: (pair[0] != bpm if pulses else False, -pair[1]))
            if weight > 0.01
        ),
    )


def _of_levels(bpm: float, weights: Floats) -> dict[float, float]:
    return {bpm * level: float(weight) for level, weight in zip(_LEVELS, weights, strict=True)}


def _of_pulses(bpm: float, pulses: Sequence[tuple[float, float]]) -> dict[float, float]:
    """The probability of each tempo (bpm), the song's own and its simple multiples; pulses that differ in their phase only count as one."""
    found: dict[float, float] = {}
    for other, probability in pulses:
        tempo = bpm * min(_RATIOS, key=lambda ratio: abs(np.log(other / pulses[0][0] / ratio)))
        found[tempo] = found.get(tempo, 0.0) + probability
    return found


def no_tempo() -> Tempo:
    return Tempo(bpm_global=None, confidence=0.0, curve=(), candidates=())


def local_tempi(times: Floats) -> Floats:
    """Tempo (bpm) around each beat: the slope of a least-squares line through the beats around it, within a stretch without pauses."""
    tempi = np.empty(len(times))
    intervals = np.diff(times)
    typical = float(np.median(intervals))
    breaks = np.flatnonzero(np.abs(intervals / typical - 1) > _GAP) + 1
    for stretch in np.split(np.arange(len(times)), breaks):
        for index in stretch:
            low, high = max(stretch[0], index - _HALF_WINDOW), min(stretch[-1], index + _HALF_WINDOW) + 1
            tempi[index] = 60 / _slope(times[low:high]) if high - low > 2 else np.nan
    # Single beats between pauses take the tempo of the song.
    return np.where(np.isnan(tempi), 60 / typical, tempi)


def global_tempo(times: Floats, local: Floats) -> float:
    """One tempo for the song: of one line through all beats where they lie on one, otherwise the local tempo that is held longest."""
    period = 60 / float(np.median(local))
    # Count beats across pauses: by how many periods each beat comes after the one before.
    steps = np.maximum(1, np.round(np.diff(times) / period))
    index = np.concatenate([[0.0], np.cumsum(steps)])
    slope, offset = np.polyfit(index, times, 1)
    residual = float(np.median(np.abs(times - (slope * index + offset))))
    return 60 / float(slope) if residual < _STEADY_SEC else _held_longest(local)


def _held_longest(local: Floats) -> float:
    """The median of the local tempi within 3 % of the one that has most others within 3 %."""
    near = np.abs(np.log(local[:, None] / local[None, :])) < 0.03
    # A beat at half the tempo takes twice the time.
    weight = near @ (1 / local)
    return float(np.median(local[near[int(weight.argmax())]]))


def candidate_weights(times: Floats, beat_probability: Floats, fps: float) -> Floats:
    """Weight of each metrical level, summing to 1: how well a pulse at that level fits the beat probabilities.

    A fit is the F-measure of precision (how high the probability is at the pulses) and recall (how much of it lies at pulses): half the
    tempo leaves beats out, twice the tempo beats where nothing is.
    """
    fits = np.array([max(_fit(pulses, times, beat_probability, fps) for pulses in _level(times, level)) for level in _LEVELS])
    sharp = np.maximum(fits, 1e-3) ** _SHARPNESS
    weights: Floats = sharp / sharp.sum()
    return weights


def _level(times: Floats, level: float) -> list[Floats]:
    """The grid at another metrical level, in each phase it can have."""
    step = 1 / level
    phases = np.arange(0.0, step - 1e-9, 0.5 if level != 1.0 else 1.0) if step > 1 else np.array([0.0])
    index = np.arange(len(times))
    return [np.interp(np.arange(phase, len(times) - 1 + 1e-9, step), index, times) for phase in phases]


def _fit(pulses: Floats, times: Floats, beat_probability: Floats, fps: float) -> float:
    strongest = _strength(times, beat_probability, fps)
    typical = float(np.quantile(strongest, 0.75)) or 1.0
    at_pulses = np.minimum(_strength(pulses, beat_probability, fps) / typical, 1.0)
    # Everything that sounds like a beat on the finest level considered counts as something to be explained.
    finest = np.unique(np.concatenate([times, (times[1:] + times[:-1]) / 2]))
    total = float(np.minimum(_strength(finest, beat_probability, fps) / typical, 1.0).sum())
    precision, recall = float(at_pulses.mean()), min(1.0, float(at_pulses.sum()) / max(total, 1e-9))
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _strength(times: Floats, beat_probability: Floats, fps: float) -> Floats:
    """The highest probability within 30 ms of each time."""
    frames = np.round(times * fps).astype(np.int64)
    reach = max(1, round(0.03 * fps))
    near = np.clip(frames[:, None] + np.arange(-reach, reach + 1), 0, len(beat_probability) - 1)
    strength: Floats = beat_probability[near].max(axis=1)
    return strength


def _curve(grid: BeatGrid, local: Floats) -> tuple[TempoPoint, ...]:
    """The local tempo at every downbeat; at the first beat where there is none."""
    where = np.flatnonzero(grid.positions == 1)
    where = where if len(where) else np.array([0])
    return tuple(TempoPoint(time=float(grid.times[index]), bpm=round(float(local[index]), 3)) for index in where)


def _slope(times: Floats) -> float:
    index = np.arange(len(times)) - (len(times) - 1) / 2
    return float((index * times).sum() / (index**2).sum())


def _floor4(value: float) -> float:
    # Rounded down, so that the weights never sum to more than 1.
    return float(np.floor(value * 1e4) / 1e4)
