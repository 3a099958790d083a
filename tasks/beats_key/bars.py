"""On which beats bars begin: calibrated evidence for each beat, and the best course of bars through the song.

For each beat a small network, learnt on annotated songs, weighs what speaks for a downbeat there and on the beats around it: activations,
chord changes and how long the new chord stays, changes of harmony and of the bass, the bass note against the chord's root, drums. A
Viterbi search then places bars: of one length mostly, at a price of another one, or of a single bar that is cut short; after a pause they
begin anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.beats_key.beat_grid import BeatGrid
from tasks.beats_key.evidence import Evidence, HeardChords, strongest_near
from tasks.beats_key.learnt import networks
from tasks.common.spectra import FPS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Lengths of bars (beats), and the nats by which one of another length must lead those of four.
LENGTHS: Final = (3, 4, 5, 6, 7)
_LEAD: Final = np.array([1.0, 0.0, 2.5, 2.0, 3.0])
#: Beats are far from independent: of the sum of their log odds, so much is believed.
_TRUST: Final = 0.3
#: And less still where it is to say how sure the bars are, so that what is said is right as often as that.
_TRUST_IN_PHASE: Final = 0.025
#: Prices (nats) of a change of meter, of a bar cut short, and of either after a pause.
_CHANGE: Final = 10.0
_CUT: Final = 8.0
_AFTER_PAUSE: Final = 2.0
#: Beats so many times the usual interval apart have a pause between them.
_PAUSE: Final = 1.6
#: Beats before and after a beat whose evidence counts for it.
_REACH: Final = 3
#: Fewer beats are left as the tracker has them.
MIN_BEATS: Final = 8
_OFFSET: Final = 0.01
#: Exponents beyond it are too large to matter.
_LARGEST: Final = 50.0
#: The most that a deviation from the song's mean counts, in standard deviations.
_MOST: Final = 4.0


@dataclass(frozen=True)
class Course:
    """Bars through a song: position (from 0) and length of the bar of each beat."""

    positions: Ints
    lengths: Ints


def find_bars(grid: BeatGrid, evidence: Evidence) -> BeatGrid:
    """The grid with its bars where the evidence has them, and how sure they are."""
    if len(grid.times) < MIN_BEATS:
        return grid
    log_odds = downbeat_log_odds(grid.times, evidence)
    course = best_course(log_odds, grid.times)
    return replace(
        grid,
        positions=course.positions + 1,
        bar_lengths=course.lengths,
        meter_confidence=phase_confidence(log_odds, course),
    )


def downbeat_log_odds(times: Floats, evidence: Evidence) -> Floats:
    """For each beat, the log odds that a bar begins with it."""
    scores: Floats = networks()["bars"].scores(in_context(beat_features(times, evidence))).mean(axis=0)
    return scores


def phase_confidence(log_odds: Floats, course: Course) -> float:
    """The probability that bars begin where they do and not on another of their beats, all moved alike."""
    longest = int(course.lengths.max())
    place = (course.positions[None] - np.arange(longest)[:, None]) % course.lengths
    support = np.where(place == 0, log_odds, 0.0).sum(axis=1)
    odds = _TRUST_IN_PHASE * (support - support[0])
    return float(1.0 / np.exp(np.minimum(odds, _LARGEST)).sum())


def best_course(log_odds: Floats, times: Floats) -> Course:
    """The best course of bars through beats (s) with these log odds of being downbeats."""
    starts = np.cumsum([0, *LENGTHS[:-1]])
    lengths = np.repeat(LENGTHS, LENGTHS)
    positions = np.concatenate([np.arange(length) for length in LENGTHS])
    ends = starts + np.array(LENGTHS) - 1
    is_first = positions == 0
    first, other = (-_TRUST * np.logaddexp(0.0, sign * log_odds) for sign in (-1.0, 1.0))
    pauses = np.diff(times, prepend=times[0]) > _PAUSE * np.median(np.diff(times))
    change = np.where(np.eye(len(LENGTHS), dtype=bool), 0.0, -_CHANGE)
    spread = -np.log(lengths)
    score = np.where(is_first, first[0], other[0]) + spread - np.repeat(_LEAD, LENGTHS)
    came_from = np.zeros((len(times), len(lengths)), np.int64)
    before = np.maximum(np.arange(len(lengths)) - 1, 0)
    for beat in range(1, len(times)):
        best, origin = score[before], before.copy()
        onward = score[ends][:, None] + change
        best[starts], origin[starts] = onward.max(axis=0), ends[onward.argmax(axis=0)]
        # A bar cut short: from wherever a bar of the same length stands best.
        best_places = np.array([start + int(score[start : start + length].argmax()) for start, length in zip(starts, LENGTHS, strict=True)])
        cut = score[best_places] - (_AFTER_PAUSE if pauses[beat] else _CUT)
        shorter = cut > best[starts]
        best[starts], origin[starts] = np.where(shorter, cut, best[starts]), np.where(shorter, best_places, origin[starts])
        if pauses[beat]:  # the bars may stand anywhere after it
            anywhere = np.repeat(cut, LENGTHS) + spread
            resumed = anywhere > best
            best, origin = np.where(resumed, anywhere, best), np.where(resumed, np.repeat(best_places, LENGTHS), origin)
        score = best + np.where(is_first, first[beat], other[beat])
        came_from[beat] = origin
    path = np.empty(len(times), np.int64)
    path[-1] = int(score.argmax())
    for beat in range(len(times) - 1, 0, -1):
        path[beat - 1] = came_from[beat, path[beat]]
    return Course(positions[path], lengths[path].astype(np.int64))


def beat_features(times: Floats, evidence: Evidence) -> Floats:
    """(beats, n) what is to be heard at each beat, mostly as deviations from the song's mean."""
    periods = _local_periods(times)
    beat, downbeat = (strongest_near(evidence.activations[:, column], times) for column in (0, 1))
    harmony, chords = evidence.harmony, evidence.chords
    onsets = [_standing_out(strongest_near(evidence.onsets[name], times, 4)) for name in ("kick", "low", "mid", "snare", "hat")]
    sustained = [_standing_out(_mean_level(evidence.levels[name], times, periods)) for name in ("hat", "mid")]
    on_root = _share_of_root(times, periods, evidence)
    columns = [
        np.log((downbeat + _OFFSET) / (beat + _OFFSET)),
        _standing_out(np.log(downbeat + 2 * _OFFSET)),
        _standing_out(np.log(beat + downbeat + 2 * _OFFSET)),
        *_chord_columns(chords, times, periods),
        *(_standing_out(harmony.change(harmony.chroma_sums, times, width * periods)) for width in (1, 2, 4)),
        *(_standing_out(harmony.change(harmony.bass_sums, times, width * periods)) for width in (1, 2)),
        *onsets,
        *sustained,
        _standing_out(on_root),
        np.nan_to_num(on_root),
    ]
    return np.stack(columns, axis=1)


def in_context(features: Floats) -> Floats:
    """(beats, n · (2 · _REACH + 1)) the features of each beat and of those around it; 0 beyond the ends."""
    padded = np.pad(features, ((_REACH, _REACH), (0, 0)))
    return np.concatenate([padded[shift : shift + len(features)] for shift in range(2 * _REACH + 1)], axis=1)


def _chord_columns(chords: HeardChords, times: Floats, periods: Floats) -> list[Floats]:
    """How near a chord change is (1 on the beat, 0 half a beat away), one of the root, one half a beat early; how long its chord stays."""
    if len(chords.changes) == 0:
        return [np.zeros(len(times))] * 4
    beats_long = np.log2(np.clip((chords.ends[1:] - chords.starts[1:]) / float(np.median(np.diff(times))), 0.5, 16.0)) / 4
    new_root = (chords.roots[1:] != chords.roots[:-1]).astype(np.float64)

    def nearness(weight: Floats, where: Floats) -> Floats:
        # Only the nearest changes can be within half a beat.
        after = np.clip(np.searchsorted(chords.changes, where), 1, max(1, len(chords.changes) - 1))
        near = np.stack([np.minimum(after - 1, len(weight) - 1), np.minimum(after, len(weight) - 1)])
        close = np.maximum(0.0, 1 - 2 * np.abs(where - chords.changes[near]) / periods) * weight[near]
        found: Floats = close[np.abs(close).argmax(axis=0), np.arange(len(where))]
        return found

    every = np.ones(len(new_root))
    return [nearness(every, times), nearness(new_root, times), nearness(every, times - periods / 2), nearness(beats_long, times)]


def _share_of_root(times: Floats, periods: Floats, evidence: Evidence) -> Floats:
    """What share of the bass's chroma after each beat lies on the root of the chord that sounds. NaN where there is none."""
    chords, harmony = evidence.chords, evidence.harmony
    if len(chords.starts) == 0:
        return np.full(len(times), np.nan)
    sounding = np.clip(np.searchsorted(chords.starts, times + 0.3 * periods, side="right") - 1, 0, len(chords.starts) - 1)
    roots = chords.roots[sounding]
    bass = harmony.total(harmony.bass_sums, times, times + 0.6 * periods)
    share = bass[np.arange(len(times)), np.maximum(roots, 0)] / np.maximum(bass.sum(axis=1), 1e-9)
    return np.where(roots >= 0, share, np.nan)


def _mean_level(level: Floats, times: Floats, periods: Floats) -> Floats:
    """Mean of a level (frames,) from each beat to shortly before the next."""
    sums = np.concatenate([[0.0], np.cumsum(level)])
    first, stop = (np.clip(np.round(at * FPS).astype(int), 0, len(level)) for at in (times, times + 0.9 * periods))
    found: Floats = (sums[stop] - sums[first]) / np.maximum(1, stop - first)
    return found


def _local_periods(times: Floats) -> Floats:
    """Seconds from beat to beat around each beat, no pauses."""
    usual = float(np.median(np.diff(times)))
    found: Floats = np.clip(np.gradient(times), 0.6 * usual, 1.6 * usual)
    return found


def _standing_out(values: Floats) -> Floats:
    """Each value's deviation from the mean, in standard deviations; 0 where there is none. NaN counts as the mean."""
    known = values[np.isfinite(values)]
    spread = float(known.std()) if len(known) else 0.0
    if spread < 1e-9:
        return np.zeros(len(values))
    found: Floats = np.nan_to_num(np.clip((values - known.mean()) / spread, -_MOST, _MOST))
    return found
