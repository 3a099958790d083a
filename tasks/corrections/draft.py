"""A Song Map while it is corrected."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from schemas import song_map as m
from schemas.results import KeySpan

#: What is shorter than this is nothing (s).
LEAST_SEC = 0.01


@dataclass
class Draft:
    """The parts of a map that corrections change. beats: their times (s). keys: those that hold. notes: by part."""

    duration: float
    beats: Sequence[float]
    downbeats: Sequence[float]
    keys: Sequence[KeySpan]
    chords: list[m.Chord]
    sections: list[m.Section]
    lyrics: list[m.LyricLine]
    notes: dict[str, list[m.Note]]
    title: str
    artist: str | None
    said: set[str] = field(default_factory=set)

    @property
    def beat_sec(self) -> float | None:
        """The usual time from beat to beat; None without beats."""
        gaps = [after - before for before, after in pairwise(self.beats)]
        return median(gaps) if gaps else None

    def on_beat(self, time: float) -> float:
        """The beat, or the start or end of the song, that a time belongs to; the time itself where none is within half a beat."""
        period = self.beat_sec
        marks = [0.0, *self.beats, self.duration]
        near = min(marks, key=lambda mark: abs(mark - time))
        return near if period is not None and abs(near - time) <= period / 2 else min(max(0.0, round(time, 6)), self.duration)

    def beat_index(self, time: float) -> int | None:
        """Index of the first beat at or after a time; the number of beats at the song's end; None without beats."""
        if not self.beats:
            return None
        return len(self.beats) if time >= self.duration - 1e-6 else bisect_left(self.beats, time - 1e-6)
