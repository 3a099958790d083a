"""A song's bars and beats as a score counts them: every moment has a place in ticks, and every place a time. Pure.

A tick is 1/960 of a quarter note. The bars follow each other without gaps from tick 0 to beyond the song's end: before the first beat
stand as many as the time to it has room for, after the last one they go on at its pace. A bar that the beats left short or long has a meter
of its own; without a pulse, bars of 4/4 run at 120 to the minute, which means nothing but the clock.

    grid = grid_of(song_map)
    grid.tick(12.25)         # where a note that begins there stands; a float
    grid.time(960 * 4)       # when the second bar of a song in 4/4 begins that has nothing before its first beat
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from schemas.song_map import MeterChange, SongMap

#: In a quarter note. Every note down to a 64th, and triplets of all but these, are whole numbers of it.
QUARTER: Final = 960
#: What the time before the first beat may be counted in, as parts of a beat, where it is less than a beat.
_LEAST_DENOMINATOR: Final = 64
#: A first beat this early (s) is the beginning of the song.
_NO_LEAD_IN_SEC: Final = 0.005
#: A bar of more than this many times its meter's beats holds several whose downbeats are not known.
_LONGEST: Final = 2
_SAME_SEC: Final = 2e-6
_CLOCK_BEAT_SEC: Final = 0.5


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar. tick: where it begins. start, end: s. numerator, denominator: its own meter; its beats are 1/denominator each.

    is_heard: whether it holds a beat that was heard; those before and after are counted on.
    """

    tick: int
    start: float
    end: float
    numerator: int
    denominator: int
    is_heard: bool

    @property
    def beat(self) -> int:
        """Length of a beat (ticks)."""
        return 4 * QUARTER // self.denominator

    @property
    def length(self) -> int:
        """Ticks."""
        return self.numerator * self.beat

    @property
    def until(self) -> int:
        """The tick at which the next one begins."""
        return self.tick + self.length


@dataclass(frozen=True, slots=True)
class Grid:
    """bars: in order from tick 0, at least one. has_pulse: False where their beats are the clock's.

    ticks, times: of the beats, counted-on ones too, both rising; between two beats time runs evenly.
    """

    bars: tuple[Bar, ...]
    ticks: tuple[int, ...]
    times: tuple[float, ...]
    has_pulse: bool

    def tick(self, time: float) -> float:
        """The place of a time (s), between two beats by the time between them."""
        return _between(self.times, self.ticks, time)

    def time(self, tick: float) -> float:
        """The time (s) of a place."""
        return _between(self.ticks, self.times, tick)

    def nearest(self, time: float, step: int) -> int:
        """The place of a time among those `step` ticks apart, counted from the beginning of its bar."""
        tick = self.tick(time)
        first = self.bars[self.bar_at(tick)].tick
        return max(first + step * math.floor((tick - first) / step + 0.5), 0)

    def bar_at(self, tick: float) -> int:
        """Index of the bar that a place lies in; of the first and the last one for what lies outside of them."""
        return max(bisect_right(self.bars, tick, key=lambda bar: bar.tick) - 1, 0)

    def bar_line(self, time: float) -> int:
        """The place of the bar line nearest to a time."""
        tick = self.tick(time)
        bar = self.bars[self.bar_at(tick)]
        return bar.tick if tick - bar.tick <= bar.until - tick else bar.until


def grid_of(song_map: SongMap, from_zero: bool = True, until: float = 0.0) -> Grid:
    """The grid of a song.

    from_zero: tick 0 is the beginning of the sound, and the time to the first beat is counted in beats as near to its own as fit in it;
    otherwise whole beats of the first bar's pace are counted back from the first beat, so that tick 0 may lie before the sound.
    until: the bars reach this time (s) and the song's end.
    """
    until = max(until, song_map.duration_sec)
    beats = _beats_by_bar(song_map)
    if not beats:
        return _clock_grid(until)
    grid = _Building(song_map, beats)
    grid.count_in(from_zero)
    for nth in range(len(beats)):
        grid.heard(nth)
    grid.go_on(until)
    return grid.done()


@dataclass(frozen=True, slots=True)
class _Beats:
    """The beats of a bar, the end of the last, and its meter."""

    times: tuple[float, ...]
    end: float
    numerator: int
    denominator: int
    is_pickup: bool = False

    @property
    def mean(self) -> float:
        return (self.end - self.times[0]) / len(self.times)


def _beats_by_bar(song_map: SongMap) -> list[_Beats]:
    """The beats that were heard, bar by bar; the first may be a pickup."""
    beats = song_map.beats
    if len(beats) < 2:
        return []
    firsts = [bar.first_beat for bar in song_map.bars]
    ends = {bar.first_beat: bar.end for bar in song_map.bars}
    last = song_map.bars[-1].first_beat + song_map.bars[-1].beats if song_map.bars else len(beats)
    edges = [*([0] if not firsts or firsts[0] > 0 else []), *firsts, last]
    found: list[_Beats] = []
    for first, after in pairwise(edges):
        times = beats[first:after]
        if not times:
            continue
        end = beats[after] if after < len(beats) and after != last else ends.get(first, 2 * beats[-1] - beats[-2])
        numerator, denominator = _meter_at(song_map, times[0])
        is_pickup = bool(firsts) and first < firsts[0]
        size = numerator if not is_pickup and (len(times) > _LONGEST * numerator or not firsts) else len(times)
        for start in range(0, len(times), size):
            part = times[start : start + size]
            part_end = times[start + size] if start + size < len(times) else end
            if part_end > part[-1]:
                found.append(_Beats(part, part_end, len(part), denominator, is_pickup))
    if found and not found[-1].is_pickup:
        found[-1] = _completed(song_map, found[-1])
    return found


def _completed(song_map: SongMap, last: _Beats) -> _Beats:
    """The last bar with all the beats of its meter: the song's end broke it off, no one did."""
    numerator, _ = _meter_at(song_map, last.times[0])
    lacking = numerator - len(last.times)
    if lacking <= 0:
        return last
    beat = last.mean
    more = tuple(last.end + nth * beat for nth in range(lacking))
    return _Beats((*last.times, *more), last.end + lacking * beat, numerator, last.denominator)


def _meter_at(song_map: SongMap, time: float) -> tuple[int, int]:
    """Numerator and denominator, the latter a note value that scores have."""
    changes: Sequence[MeterChange] = song_map.meter.changes
    place = bisect_right([change.start for change in changes], time + _SAME_SEC) - 1
    meter = changes[max(place, 0)] if changes else song_map.meter
    return meter.numerator, min(1 << (meter.denominator.bit_length() - 1), _LEAST_DENOMINATOR)


class _Building:
    """A grid on its way, bar by bar."""

    def __init__(self, song_map: SongMap, beats: Sequence[_Beats]) -> None:
        self._map, self._beats = song_map, beats
        self._bars: list[Bar] = []
        self._ticks: list[int] = []
        self._times: list[float] = []
        self._tick = 0

    def count_in(self, from_zero: bool) -> None:
        """The bars before the first downbeat that was heard: beats counted back from the first one, and those of a pickup."""
        first = self._beats[0]
        own = first.times if first.is_pickup else ()
        room, beat = first.times[0], first.mean
        if room <= (_NO_LEAD_IN_SEC if from_zero else 0.0):
            count = 0
        elif from_zero:
            count = math.floor(room / beat + 0.5)
            if count == 0:
                self._count_in_less_than_a_beat(room, beat, first.denominator)
        else:
            count = math.ceil(room / beat - 1e-6)
        pace = room / count if from_zero and count else beat
        times = [*(room - (count - nth) * pace for nth in range(count)), *own]
        end = first.end if own else room
        numerator, _ = _meter_at(self._map, self._beats[1 if own and len(self._beats) > 1 else 0].times[0])
        short, place = len(times) % numerator, 0
        for size in [*([short] if short else []), *[numerator] * (len(times) // numerator)]:
            until = place + size
            self._add(times[place:until], times[until] if until < len(times) else end, size, first.denominator, until > count)
            place = until

    def _count_in_less_than_a_beat(self, room: float, beat: float, denominator: int) -> None:
        """A bar of half a beat, or half of that, for no time may be left out."""
        while denominator < _LEAST_DENOMINATOR and room < 0.75 * beat:
            denominator, beat = 2 * denominator, beat / 2
        self._add((0.0,), room, 1, denominator, False)

    def heard(self, nth: int) -> None:
        """A bar that was heard."""
        bar = self._beats[nth]
        if not bar.is_pickup:
            self._add(bar.times, bar.end, bar.numerator, bar.denominator, True)

    def go_on(self, until: float) -> None:
        """Bars at the last one's pace, until a time."""
        last = self._beats[-1]
        numerator, denominator = _meter_at(self._map, last.times[0])
        beat, start = last.mean, last.end
        while start < until:
            self._add(tuple(start + nth * beat for nth in range(numerator)), start + numerator * beat, numerator, denominator, False)
            start += numerator * beat

    def done(self) -> Grid:
        last = self._bars[-1]
        return Grid(tuple(self._bars), (*self._ticks, last.until), (*self._times, last.end), has_pulse=True)

    def _add(self, times: Sequence[float], end: float, numerator: int, denominator: int, is_heard: bool) -> None:
        bar = Bar(self._tick, times[0], end, numerator, denominator, is_heard)
        self._bars.append(bar)
        self._ticks += [self._tick + nth * bar.beat for nth in range(numerator)]
        self._times += times
        self._tick = bar.until


def _clock_grid(until: float) -> Grid:
    bar = 4 * _CLOCK_BEAT_SEC
    count = max(math.ceil(until / bar), 1)
    bars = tuple(Bar(4 * QUARTER * nth, bar * nth, bar * (nth + 1), 4, 4, False) for nth in range(count))
    return Grid(bars, (0, bars[-1].until), (0.0, bars[-1].end), has_pulse=False)


def _between(known: Sequence[float], wanted: Sequence[float], value: float) -> float:
    """Straight lines through the points, the first and the last of them going on."""
    place = min(max(bisect_right(known, value) - 1, 0), len(known) - 2)
    share = (value - known[place]) / (known[place + 1] - known[place])
    return wanted[place] + share * (wanted[place + 1] - wanted[place])


def cells(grid: Grid) -> Iterator[tuple[int, int]]:
    """(tick, length) of the beats of all bars, those longer than a quarter note in quarters."""
    for bar in grid.bars:
        size = min(bar.beat, QUARTER)
        yield from ((tick, size) for tick in range(bar.tick, bar.until, size))
