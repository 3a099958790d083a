"""The chords of a song as its Song Map has them: those that were heard, each change on the beat it belongs to, spelled in the key there.

Chords are heard before the beats are settled, which depend on them. So a change lies where it was heard, some hundredths of a second from
the beat; here it moves to the nearest one. Where the pulse is lost (a gap of several beats, a free passage) changes stay where they were
heard. Measured on POP909 and the demo song against a search on the beats themselves, over the posteriors of every frame: the same to
within 0.001 majmin and sevenths (see tasks/chords/README.md).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.results import Beat, BeatsKey, Chord, Chords, KeySpan
from tasks.common.harmony.naming import named_chord

#: A gap between beats longer than so many beats has lost the pulse.
_LOST_AFTER_BEATS: Final = 2.5
#: A change in such a gap belongs to a beat within this share of a beat. One nearer than this to the start or end of the song is no change.
_NEAR_SHARE: Final = 0.5
#: Share of the usual beat below which a chord is flicker. Beats are uneven by some percent; half beats are not chords.
_SHORTEST_SHARE: Final = 0.75
#: Times of chords are whole microseconds.
_SAME_SEC: Final = 1e-6


@dataclass(frozen=True)
class _Span:
    """A chord from start to end (s). belief: the probability of its label and of others, by label."""

    start: float
    end: float
    label: str
    belief: dict[str, float]

    @property
    def length(self) -> float:
        return self.end - self.start


def on_beats(chords: Chords, beats: BeatsKey, duration: float) -> tuple[Chord, ...]:
    """The chords of a song of `duration` seconds, on its beats and in its keys; what was heard without a gap is so still.

    A chord that no beat is left for gives its time to its neighbours, the flicker of less than a beat to the one it may have been. A
    confidence stays the mean over the chord's time. Without a beat grid, chords stay where they were heard. A chord after the last beat has
    the number of beats as its start and its end.
    """
    spans = [_Span(chord.start, chord.end, chord.label, _belief(chord)) for chord in chords.chords]
    period = usual_beat_sec(beats.beats)
    if period is not None:
        marks = _marks(beats.beats, duration, period)
        spans = [_Span(_place(s.start, marks, period), _place(s.end, marks, period), s.label, s.belief) for s in spans]
        spans = _without_flicker(_merged([span for span in spans if span.length > 0]), _SHORTEST_SHARE * period)
    times = [beat.time for beat in beats.beats]
    return tuple(
        named_chord(
            span.start,
            span.end,
            span.label,
            span.belief,
            key_of(span.start, span.end, beats.key_spans),
            _beat_index(span.start, times, duration),
            _beat_index(span.end, times, duration),
        )
        for span in spans
    )


def usual_beat_sec(beats: Sequence[Beat]) -> float | None:
    """Median time from beat to beat; None with fewer than two."""
    if len(beats) < 2:
        return None
    return float(np.median(np.diff([beat.time for beat in beats])))


def key_of(start: float, end: float, keys: Sequence[KeySpan]) -> KeySpan | None:
    """The key that holds for the longest part of a span (s); None where none does."""
    shared = [min(end, key.end) - max(start, key.start) for key in keys]
    longest = max(range(len(keys)), key=lambda i: shared[i], default=None)
    return keys[longest] if longest is not None and shared[longest] > 0 else None


def _belief(chord: Chord) -> dict[str, float]:
    return {other.label: other.confidence for other in chord.alternatives} | {chord.label: chord.confidence}


def _marks(beats: Sequence[Beat], duration: float, period: float) -> list[float]:
    """The start of the song, its beats but those at its very edges, and its end."""
    near = _NEAR_SHARE * period
    return [0.0, *(beat.time for beat in beats if near <= beat.time <= duration - near), duration]


def _place(time: float, marks: Sequence[float], period: float) -> float:
    """Where a change heard at a time (s) belongs. Never moves a change past another."""
    after = min(max(bisect_right(marks, time), 1), len(marks) - 1)
    first, second = marks[after - 1], marks[after]
    nearest = first if time - first <= second - time else second
    if second - first <= _LOST_AFTER_BEATS * period or not first <= time <= second:
        return nearest
    is_beat = 0 < (after - 1 if nearest == first else after) < len(marks) - 1
    return nearest if is_beat and abs(nearest - time) <= _NEAR_SHARE * period else time


def _merged(spans: Sequence[_Span]) -> list[_Span]:
    """Join neighbours that are the same chord."""
    merged: list[_Span] = []
    for span in spans:
        if merged and merged[-1].label == span.label and merged[-1].end == span.start:
            merged[-1] = _joined(merged[-1], span, span.label)
        else:
            merged.append(span)
    return merged


def _without_flicker(spans: list[_Span], shortest_sec: float) -> list[_Span]:
    """Give the time of each chord shorter than `shortest_sec` to the neighbour it is likelier to be, or the longer, the shortest first."""
    while len(spans) > 1:
        i = min(range(len(spans)), key=lambda index: spans[index].length)
        short = spans[i]
        if short.length >= shortest_sec - 1e-9:
            break
        touching = [j for j in (i - 1, i + 1) if 0 <= j < len(spans) and spans[min(i, j)].end == spans[max(i, j)].start]
        if not touching:
            break
        heir = max(touching, key=lambda j: (short.belief.get(spans[j].label, 0.0), spans[j].length))
        first, second = sorted((i, heir))
        spans = _merged([*spans[:first], _joined(spans[first], spans[second], spans[heir].label), *spans[second + 1 :]])
    return spans


def _joined(first: _Span, second: _Span, label: str) -> _Span:
    """Two neighbours as one chord; what either does not name has no probability there."""
    whole = max(first.length + second.length, 1e-9)
    weights = ((first.belief, first.length / whole), (second.belief, second.length / whole))
    labels = dict.fromkeys((*first.belief, *second.belief))
    belief = {name: sum(known.get(name, 0.0) * weight for known, weight in weights) for name in labels}
    return _Span(min(first.start, second.start), max(first.end, second.end), label, belief)


def _beat_index(time: float, times: Sequence[float], duration: float) -> int | None:
    """Index of the first beat at or after a time; the number of beats at the song's end; None without beats."""
    if not times:
        return None
    if time >= duration - _SAME_SEC:
        return len(times)
    return int(np.searchsorted(times, time - _SAME_SEC))
