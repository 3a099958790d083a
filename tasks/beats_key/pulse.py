"""Which pulse is the beat: the one that the tracker found, or one beside it, in another octave or between its beats.

A tracker that follows its networks finds a pulse, seldom none of the music's; but it may be that of the eighths, of every other beat, of
the off-beats of ska, or of the eighths of a blues in 12/8. All of them are candidates, and a small network, learnt on annotated songs,
gives each a probability: from what the networks heard at its beats and between them, from drums, chord changes, harmony, and its tempo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.options import TEMPO_RANGE
from tasks.beats_key.beat_grid import TEMPO_SLACK
from tasks.beats_key.evidence import Evidence, strongest_near
from tasks.beats_key.learnt import networks
from tasks.common.spectra import FPS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Beats of the tracker's pulse from one beat of the candidate to the next, and how many of them before its first: by kind.
_KINDS: Final[tuple[tuple[str, float, tuple[float, ...]], ...]] = (
    ("found", 1.0, (0.0,)),
    ("half", 2.0, (0.0, 1.0)),
    ("double", 0.5, (0.0,)),
    ("off-beat", 1.0, (0.5,)),
    ("third", 3.0, (0.0, 1.0, 2.0)),
    ("two thirds", 1.5, (0.0, 0.5, 1.0)),
    ("three halves", 2 / 3, (0.0,)),
    ("triple", 1 / 3, (0.0,)),
)
KIND_NAMES: Final = tuple(name for name, _, _ in _KINDS)
#: A pulse of fewer beats says too little to be chosen from.
MIN_BEATS: Final = 16
_LEAST_BEATS: Final = 8
#: Intervals this close (relative) to the median are steady; a run of so many beats at such intervals holds one pulse.
_STEADY: Final = 0.06
_RUN_BEATS: Final = 8
#: So much of the song must be in runs, and so much on each of the two pulses, for the tracker to have wavered between them.
_STEADY_SHARE: Final = 0.8
_LEAST_SHARE: Final = 0.05
#: Two runs are on different pulses where this far (beats) from a whole number of beats apart.
_HALF_BEAT: Final = 0.25
#: The mean log activation that one pulse may lose against two: a wavering tracker's loses 0.06 to 0.3, a wandering tempo's 0.47 and more.
_MOST_LOST: Final = 0.4
_USUAL_BPM: Final = 110.0
_FLOOR: Final = 0.02
#: A chord changes on a beat that is nearer than this share of the period.
_ON_BEAT: Final = 0.17
#: Another pulse than the tracker's must be at least so probable. Cross-validated on 350 songs of *choose*, it is changed for the better in
#: 54 of them and for the worse in 6; at 0.5 in 64 and in 10.
_CONVINCING: Final = 0.65


@dataclass(frozen=True)
class Pulse:
    """Beats (s) that may be the song's, and the probability that they are."""

    kind: str
    times: Floats
    probability: float = 1.0

    @property
    def bpm(self) -> float:
        return 60.0 / float(np.median(np.diff(self.times)))

    def is_in(self, min_bpm: float, max_bpm: float) -> bool:
        """Whether it has some beats, at a tempo in this range."""
        return len(self.times) >= _LEAST_BEATS and min_bpm / TEMPO_SLACK <= self.bpm <= max_bpm * TEMPO_SLACK


def weigh(times: Floats, evidence: Evidence, min_bpm: float, max_bpm: float) -> list[Pulse]:
    """The pulses in a range of tempi that the beats (s) of a tracker may stand for, with their probabilities, the one to take first.

    That is the most probable one, or the tracker's own where none is more probable than not. The probabilities are those among all usual
    tempi: in a range that leaves the likeliest pulse out, no other becomes any likelier.
    """
    usual = candidates(times, min(min_bpm, TEMPO_RANGE[0]), max(max_bpm, TEMPO_RANGE[1]))
    if len(times) < MIN_BEATS or len(usual) < 2:
        return [Pulse("found", times)]
    finest = finest_places(times)
    features = np.array([pulse_features(pulse, finest, evidence) for pulse in usual])
    scores = networks()["pulse"].scores(features)
    logs = (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).mean(axis=0)
    odds = np.exp(logs - logs.max())
    weighed = [Pulse(pulse.kind, pulse.times, float(odd)) for pulse, odd in zip(usual, odds / odds.sum(), strict=True)]
    inside = [pulse for pulse in weighed if pulse.kind == "found" or pulse.is_in(min_bpm, max_bpm)]
    convincing = max(pulse.probability for pulse in inside) >= _CONVINCING
    return sorted(inside, key=lambda pulse: (-1.0 if pulse.kind == "found" and not convincing else 0.0, -pulse.probability))


def held(times: Floats, evidence: Evidence) -> Floats:
    """Beats on one pulse throughout: where the tracker wavers between two that lie half a beat apart, the one with the kick drum.

    What a wandering tempo makes of two pulses is none: beats at even distances then miss most of what the networks hear.
    """
    if len(times) < MIN_BEATS:
        return times
    period = float(np.median(np.diff(times)))
    on_second = wavering(times, period)
    if on_second is None:
        return times
    pulses = [_one_pulse(times, on_second == second, period) for second in (0, 1)]
    kicks = [float(strongest_near(evidence.onsets["kick"], pulse).mean()) for pulse in pulses]
    one = pulses[int(kicks[1] > kicks[0])]
    as_tracked, as_held = (float(np.log(strongest_near(evidence.beat_probability, beats) + _FLOOR).mean()) for beats in (times, one))
    return one if as_tracked - as_held < _MOST_LOST else times


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


def candidates(times: Floats, min_bpm: float, max_bpm: float) -> list[Pulse]:
    """The pulse of some beats, and those beside it whose tempo lies in the range."""
    found = []
    for kind, step, phases in _KINDS:
        for phase in phases:
            pulse = Pulse(kind, _stepped(times, step, phase))
            if kind == "found" or pulse.is_in(min_bpm, max_bpm):
                found.append(pulse)
    return found


def finest_places(times: Floats) -> Floats:
    """Every place (s) where a beat of any candidate may lie: halves and thirds of the beats."""
    return np.unique(np.concatenate([_stepped(times, 0.5, 0.0), _stepped(times, 1 / 3, 0.0)]))


def pulse_features(pulse: Pulse, finest: Floats, evidence: Evidence) -> list[float]:
    """What speaks for and against a pulse. finest: every place (s) where a beat of any candidate may lie."""
    times, gaps = pulse.times, np.diff(pulse.times)
    period = float(np.median(gaps))
    octaves = float(np.log2(pulse.bpm / _USUAL_BPM))
    middles, thirds = times[:-1] + gaps / 2, (times[:-1] + gaps / 3, times[:-1] + 2 * gaps / 3)
    probability = evidence.beat_probability
    at_beats, at_middles = (np.log(strongest_near(probability, where) + _FLOOR) for where in (times, middles))
    at_thirds = np.log(np.maximum(*(strongest_near(probability, where) for where in thirds)) + _FLOOR)
    found = [
        *(float(pulse.kind == kind) for kind in KIND_NAMES),
        *(octaves, octaves**2, max(0.0, octaves - 0.7), max(0.0, -octaves - 0.6)),
        *(at_beats.mean(), np.percentile(at_beats, 20), at_middles.mean(), at_thirds.mean()),
        strongest_near(probability, times).sum() / max(float(strongest_near(probability, finest).sum()), 1e-6),
    ]
    onsets = evidence.onsets_between(float(finest[0]), float(finest[-1]))
    for name in ("kick", "snare", "low", "hat", "mid"):
        found += [strongest_near(onsets[name], times).mean(), strongest_near(onsets[name], middles).mean()]
    found += [_alternation(strongest_near(onsets[name], times)) for name in ("kick", "snare")]
    found += [_alternation(at_beats), *_chord_features(evidence.chords.changes, times, middles, period)]
    harmony = evidence.harmony
    for where in (times, middles):
        change = harmony.change(harmony.chroma_sums, where, np.full(len(where), min(period, 0.6)))
        found.append(np.nan_to_num(change).mean() if len(where) else 0.0)
    first, stop = max(0, round(float(finest[0]) * FPS)), round(float(finest[-1]) * FPS) + 1
    found += [_recurrence(evidence.onsets[name][first:stop], period) for name in ("kick", "snare")]
    return [float(value) for value in found]


def _chord_features(changes: Floats, times: Floats, middles: Floats, period: float) -> list[float]:
    """Shares of the chord changes on the beats and between them, beats a chord (octaves), how one-sided they are of odd and even beats."""
    a_chord = float(np.log2(max(1, len(changes)) / max(1.0, (times[-1] - times[0]) / period)))
    if len(changes) == 0:
        return [0.0, 0.0, a_chord, 0.0]
    (beat, away), (_, between) = _nearest(changes, times), _nearest(changes, middles)
    sides = np.bincount(beat % 2, minlength=2)
    on_beat, off_beat = (float((distance < _ON_BEAT * period).mean()) for distance in (away, between))
    return [on_beat, off_beat, a_chord, float(abs(sides[0] - sides[1]) / sides.sum())]


def _nearest(wanted: Floats, times: Floats) -> tuple[Ints, Floats]:
    """Which of some ascending times is nearest to each wanted one, and how far it is (s)."""
    after = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    near = np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after).astype(np.int64)
    return near, np.abs(wanted - times[near])


def _alternation(values: Floats) -> float:
    """How clearly every other value is higher: mean difference of neighbours in pairs, in their standard deviations."""
    if len(values) < _LEAST_BEATS:
        return 0.0
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2)
    difference = pairs[:, 0] - pairs[:, 1]
    return float(abs(difference.mean()) / (difference.std() + 0.1))


def _recurrence(onsets: Floats, period: float) -> float:
    """Autocorrelation of onsets at a period (s), or within one percent of it."""
    centred = onsets - onsets.mean()
    power = float(onsets.var()) + 1e-9
    lags = {round(period * (1 + off) * FPS) for off in (-0.01, 0.0, 0.01)}
    return max((float((centred[lag:] * centred[:-lag]).mean()) / power for lag in lags if 0 < lag < len(onsets) - 10), default=0.0)


def _stepped(times: Floats, step: float, phase: float) -> Floats:
    """Every `step`-th of the beats from `phase` on, and between them where the step or the phase is no whole number."""
    places = np.arange(phase, len(times) - 1 + 1e-9, step)
    found: Floats = np.interp(places, np.arange(len(times)), times) if len(times) else times
    return found
