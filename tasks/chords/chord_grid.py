"""The times at which a chord may change: the beats, and a fine grid where there are none."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.results import Beat

#: What lies between two segments of a grid.
BETWEEN, BEAT, DOWNBEAT = 0, 1, 2

#: Step of the grid where there are no beats: short against the shortest chords of songs, long against a frame.
STEP_SEC: Final = 0.05
#: A gap between beats longer than so many beats has lost the pulse (a free passage), and is filled.
_LOST_AFTER_BEATS: Final = 2.5
#: A beat nearer to the start or end of the song than this share of a beat is no place for a change.
_EDGE_SHARE: Final = 0.5
#: Without beats, what counts as flicker: less than a beat at 200 bpm.
_SHORTEST_WITHOUT_BEATS_SEC: Final = 0.3
#: Share of the usual beat below which a chord is flicker. Beats are uneven by some percent; half beats are not chords.
_SHORTEST_SHARE: Final = 0.75


@dataclass(frozen=True)
class ChordGrid:
    """times: (segments + 1,) seconds, ascending, from 0 to the song's end. kinds: (segments - 1,) what lies between two segments."""

    times: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.int64]


def make_grid(beats: Sequence[Beat], duration: float) -> ChordGrid:
    """The places where chords may change in a song of so many seconds, with or without beats."""
    inside = [beat for beat in beats if 0 < beat.time < duration]
    period = usual_beat_sec(beats)
    if period is not None:
        inside = [beat for beat in inside if _EDGE_SHARE * period <= beat.time <= duration - _EDGE_SHARE * period]
    marks = {0.0: BETWEEN} | {beat.time: DOWNBEAT if beat.position == 1 else BEAT for beat in inside} | {duration: BETWEEN}
    longest = STEP_SEC if period is None else _LOST_AFTER_BEATS * period
    known = sorted(marks)
    for start, end in itertools.pairwise(known):
        if end - start > longest:
            steps = int((end - start) / STEP_SEC)
            marks |= {start + (end - start) * step / steps: BETWEEN for step in range(1, steps)}
    times = sorted(marks)
    return ChordGrid(np.array(times), np.array([marks[time] for time in times[1:-1]], np.int64))


def usual_beat_sec(beats: Sequence[Beat]) -> float | None:
    """Median time from beat to beat; None with fewer than two."""
    if len(beats) < 2:
        return None
    return float(np.median(np.diff([beat.time for beat in beats])))


def shortest_chord_sec(beats: Sequence[Beat]) -> float:
    """Chords shorter than this are flicker."""
    period = usual_beat_sec(beats)
    return _SHORTEST_WITHOUT_BEATS_SEC if period is None else _SHORTEST_SHARE * period
