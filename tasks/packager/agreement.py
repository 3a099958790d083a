"""Where the parts of a Song Map contradict each other: bars whose chords change elsewhere, keys that cannot explain their chords.

Nothing is changed here; whoever reads the map is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from schemas.results import Beat, Chord, KeySpan
from tasks.common.harmony.spelling import pitch_class

#: With fewer changes of chord, or less time with chords, they say little.
_LEAST_CHANGES: Final = 8
_LEAST_SEC: Final = 10.0
#: Another beat of the bar must have so many times the changes of the first.
_TIMES_THE_FIRST: Final = 2.0
#: Share of the time with chords in which their roots must lie in the key's scale.
_IN_SCALE: Final = 0.6
#: Semitones above the tonic: major; and minor with either seventh.
_SCALES: Final = {"major": frozenset({0, 2, 4, 5, 7, 9, 11}), "minor": frozenset({0, 2, 3, 5, 7, 8, 10, 11})}


def contradictions(beats: Sequence[Beat], chords: Sequence[Chord], keys: Sequence[KeySpan]) -> tuple[str, ...]:
    """What to warn of. chords: set on the beats."""
    return (*_of_bars(beats, chords), *(warning for key in keys for warning in _of_key(key, chords)))


def _of_bars(beats: Sequence[Beat], chords: Sequence[Chord]) -> tuple[str, ...]:
    starts = [now.start_beat for before, now in pairwise(chords) if before.label != now.label and now.start_beat is not None]
    changes = Counter(beats[start].position for start in starts if start < len(beats))
    if changes.total() < _LEAST_CHANGES:
        return ()
    position, most = changes.most_common(1)[0]
    if position == 1 or most < _TIMES_THE_FIRST * max(1, changes[1]):
        return ()
    where = f"{most} lie on beat {position} of a bar and {changes[1]} on the first"
    return (f"Of {changes.total()} changes of chord, {where}: the bars may begin there",)


def _of_key(key: KeySpan, chords: Sequence[Chord]) -> tuple[str, ...]:
    total = inside = 0.0
    scale = _SCALES[key.mode]
    for chord in chords:
        lasts = min(chord.end, key.end) - max(chord.start, key.start)
        if lasts <= 0 or chord.root is None:
            continue
        total += lasts
        inside += lasts * ((pitch_class(chord.root) - pitch_class(key.tonic)) % 12 in scale)
    if total < _LEAST_SEC or inside >= _IN_SCALE * total:
        return ()
    share = round(100 * inside / total)
    where = f"From {key.start:.0f} to {key.end:.0f} s"
    return (f"{where} only {share} % of the chords have their roots in {key.tonic} {key.mode}: the key may be another",)
