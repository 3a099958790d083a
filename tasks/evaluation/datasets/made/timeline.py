"""Bars, beats and seconds of a made song: tempo curves, bars of other lengths, pickups, gaps, swing."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """start: beats from the beginning of the song. is_pickup: an incomplete bar before the first; it has no downbeat."""

    start: int
    beats: int
    is_pickup: bool = False

    @property
    def end(self) -> int:
        return self.start + self.beats


@dataclass(frozen=True)
class Timeline:
    """times: seconds of every beat, and of the end. silent: beats that a gap has no pulse in, from–to."""

    bars: tuple[Bar, ...]
    times: tuple[float, ...]
    swing: float = 0.5
    """Where the off-beat of a swung unit lies in it; 0.5 is straight."""
    swing_units: int = 1
    """Swung units in a beat: 1 swings eighths, 2 sixteenths."""
    holes: dict[int, float] = field(default_factory=dict)
    """beat → seconds of silence before it, in which no beat is counted."""

    def seconds(self, position: float) -> float:
        """Seconds of a position in beats, swung; where a hole ends, after it."""
        swung = self._swung(position)
        beat = min(max(math.floor(swung), 0), len(self.times) - 2)
        end = self.times[beat + 1] - self.holes.get(beat + 1, 0.0)
        return self.times[beat] + (swung - beat) * (end - self.times[beat])

    def ending(self, position: float) -> float:
        """Seconds of the end of what lasts until a position: before the hole that ends there."""
        return self.seconds(position) - (self.holes.get(round(position), 0.0) if position == int(position) else 0.0)

    @property
    def beats(self) -> tuple[float, ...]:
        return self.times[:-1]

    @property
    def downbeats(self) -> tuple[float, ...]:
        return tuple(self.times[bar.start] for bar in self.bars if not bar.is_pickup)

    def meters(self) -> tuple[tuple[float, int], ...]:
        """(seconds, beats in a bar) wherever the length of the bars changes; a pickup counts to the bar after it."""
        changes: list[tuple[float, int]] = []
        for bar in self.bars:
            if not bar.is_pickup and (not changes or changes[-1][1] != bar.beats):
                changes.append((self.times[bar.start], bar.beats))
        return tuple(changes)

    def _swung(self, position: float) -> float:
        if self.swing == 0.5:
            return position
        unit = math.floor(position * self.swing_units)
        within = position * self.swing_units - unit
        late = within * 2 * self.swing if within < 0.5 else self.swing + (within - 0.5) * 2 * (1 - self.swing)
        return (unit + late) / self.swing_units


def beat_times(
    bars: tuple[Bar, ...], bpm: float, curve: str, start: float, holes: dict[int, float], rng: random.Random
) -> tuple[float, ...]:
    """Seconds of every beat and of the end.

    curve: steady; drift (a player without a click); accelerando, ritardando (from the middle on); ending (a ritardando of the last two
    bars); step (another tempo from the middle on); rubato (every phrase hastens and slows).
    """
    total = bars[-1].end
    half = bars[len(bars) // 2].start
    factor = rng.choice((0.8, 0.87, 1.12, 1.2))
    depth = rng.uniform(0.12, 0.3)
    walk, times = 0.0, [start]
    for beat in range(total):
        tempo = bpm
        if curve == "drift":
            walk = 0.97 * walk + rng.gauss(0.0, 0.006)
            tempo *= 1 + min(max(walk, -0.06), 0.06)
        elif curve in ("accelerando", "ritardando"):
            change = 0.25 if curve == "accelerando" else -0.22
            tempo *= 1 + change * max(0, beat - half) / max(1, total - half)
        elif curve == "ending":
            tempo *= 1 - 0.35 * max(0.0, beat - (total - 2 * bars[-1].beats)) / (2 * bars[-1].beats)
        elif curve == "step" and beat >= half:
            tempo *= factor
        elif curve == "rubato":
            phrase = 4 * bars[-1].beats
            tempo *= 1 + depth * math.sin(2 * math.pi * (beat % phrase) / phrase) + rng.gauss(0.0, 0.03)
        times.append(times[-1] + 60.0 / tempo + holes.get(beat + 1, 0.0))
    return tuple(times)
