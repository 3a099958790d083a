"""Where each beat stands in its bar. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from schemas.song_map import SongMap


@dataclass(frozen=True, slots=True)
class BeatPosition:
    """A beat. time: s. bar: from 1; 0 for the pickup. position: in the bar, from 1. beats: how many the bar has.

    denominator: which note value a beat is. conf: in [0, 1].
    """

    time: float
    bar: int
    position: int
    beats: int
    denominator: int
    conf: float | None


def beat_positions(song_map: SongMap) -> tuple[BeatPosition, ...]:
    """Every beat of the song. Those of the pickup are the last ones of a bar; those after the last bar go on counting."""
    firsts = [bar.first_beat for bar in song_map.bars]
    meters = [meter.start for meter in song_map.meter.changes]
    found = []
    for nth, time in enumerate(song_map.beats):
        bar = bisect_right(firsts, nth)
        meter = song_map.meter.changes[max(bisect_right(meters, time + 1e-6) - 1, 0)] if meters else song_map.meter
        beats = song_map.bars[bar - 1].beats if bar else meter.numerator
        position = nth - firsts[bar - 1] if bar else nth - (firsts[0] if firsts else 0)
        conf = song_map.beat_conf[nth] if nth < len(song_map.beat_conf) else None
        found.append(BeatPosition(time, bar, position % beats + 1, beats, meter.denominator, conf))
    return tuple(found)
