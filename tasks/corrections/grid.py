"""The beats, the bars, the tempo, the meter and the keys as a person put them right. Pure.

It works on the result of the beats step, so that the steps that read it and the Song Map are given the same grid. Times are in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, Final

from schemas import corrections as c
from schemas.results import Beat, BeatsKey, KeySpan, MeterSpan, Tempo, TempoCandidate, TempoPoint
from tasks.corrections.outcome import Conflict, Outcome, applied, clock, moved, obsolete

#: Tempi of two analyses of one song differ by less, and from another level of the pulse by far more.
_SAME_TEMPO: Final = math.log(1.08)
#: A person taps within this of the beat that is meant (s).
_TAP_SEC: Final = 0.07
#: What lies within this of where it is to be is there (s).
_THERE_SEC: Final = 0.005
#: Share of the beats that were heard before which must be heard again, for the beats to be the same ones.
_SEEN_AGAIN: Final = 0.4
#: A time that is farther from every beat, as a share of a beat, is between two: they are those of another level of the pulse.
_NO_BEAT: Final = 0.35
#: A tempo that changes by less from bar to bar is one point of the curve.
_STEADY: Final = 0.02


@dataclass(frozen=True)
class Grid:
    """A grid, and what of it a person said. meters, keys: starts of the passages (s)."""

    beats: BeatsKey
    said: frozenset[str] = frozenset()
    meters: frozenset[float] = frozenset()
    keys: frozenset[float] = frozenset()

    @property
    def times(self) -> list[float]:
        return [beat.time for beat in self.beats.beats]


def corrected_grid(grid: Grid, change: c.GridChange, duration: float) -> tuple[Grid, Outcome]:
    """The grid after one change. duration: of the song (s). Raises Conflict."""
    return _HANDLERS[type(change)](grid, change, duration)


def grid_for_step(beats: BeatsKey, corrections: c.GridCorrections | None, duration: float) -> BeatsKey:
    """What a step reads in place of the beats step's result. A change that has no place is left out; the Song Map says so."""
    from tasks.corrections.placing import clock_offset, set_beside

    if corrections is None:
        return beats
    grid = Grid(beats)
    for operation in corrections.operations:
        offset = 0.0 if operation.song == corrections.song else clock_offset([operation.near], [beat.time for beat in beats.beats])
        try:
            grid, _ = corrected_grid(grid, set_beside(operation.change, offset), duration)
        except Conflict:
            continue
    return grid.beats


# --- tempo -----------------------------------------------------------------------------------------------------------------------------


def _tempo_halved(grid: Grid, change: c.TempoHalved, duration: float) -> tuple[Grid, Outcome]:  # noqa: ARG001 (as all handlers)
    return _at_other_level(grid, change.bpm, 0.5, _every_second)


def _tempo_doubled(grid: Grid, change: c.TempoDoubled, duration: float) -> tuple[Grid, Outcome]:
    return _at_other_level(grid, change.bpm, 2.0, lambda beats: _with_halves(beats, duration))


def _at_other_level(grid: Grid, was: float, factor: float, thin: Callable[[BeatsKey], tuple[Beat, ...]]) -> tuple[Grid, Outcome]:
    now, wanted = _bpm(grid.beats), was * factor
    if now is None:
        raise Conflict("there are no beats")
    if abs(math.log(now / wanted)) < _SAME_TEMPO:
        return replace(grid, said=grid.said | {"tempo"}, beats=_sure_of_tempo(grid.beats)), obsolete(f"the tempo is heard as {now:.4g}")
    if abs(math.log(now / was)) >= _SAME_TEMPO:
        raise Conflict(f"the tempo is heard as {now:.4g} now, which is neither {was:.4g} nor {wanted:.4g}")
    beats = thin(grid.beats) if grid.beats.beats else ()
    if len(beats) < 2:
        raise Conflict("there are too few beats")
    tempo = grid.beats.tempo
    bpm = round((tempo.bpm_global or now) * factor, 3)
    scaled = Tempo(
        bpm_global=bpm,
        confidence=1.0,
        curve=tuple(TempoPoint(time=point.time, bpm=round(point.bpm * factor, 3)) for point in tempo.curve),
        candidates=(TempoCandidate(bpm=bpm, weight=1.0),),
    )
    result = grid.beats.model_copy(update={"beats": beats, "tempo": scaled})
    return replace(grid, beats=result, said=grid.said | {"tempo", "beats"}), applied(f"{now:.4g} bpm is {wanted:.4g}")


def _sure_of_tempo(beats: BeatsKey) -> BeatsKey:
    return beats.model_copy(update={"tempo": beats.tempo.model_copy(update={"confidence": 1.0})})


def _bpm(beats: BeatsKey) -> float | None:
    if beats.tempo.bpm_global is not None:
        return beats.tempo.bpm_global
    gaps = [after.time - before.time for before, after in pairwise(beats.beats)]
    return 60 / median(gaps) if gaps else None


def _every_second(beats: BeatsKey) -> tuple[Beat, ...]:
    """Every second beat, counted from the first one of each passage of one meter; the bars have as many beats as before."""
    kept: list[Beat] = []
    for number, (passage, numerator) in enumerate(_passages(beats)):
        first = next((index for index, beat in enumerate(passage) if beat.position == 1), 0)
        if number and first:
            first = 0
        for index, beat in enumerate(passage):
            step, odd = divmod(index - first, 2)
            if not odd:
                kept.append(beat.model_copy(update={"position": step % numerator + 1}))
    return tuple(kept)


def _with_halves(beats: BeatsKey, duration: float) -> tuple[Beat, ...]:
    """One more beat between any two, and after the last; a bar is two bars then."""
    found: list[Beat] = []
    usual = _period([beat.time for beat in beats.beats])
    for passage, numerator in _passages(beats):
        for beat in passage:
            place = 2 * (beat.position - 1)
            found.append(beat.model_copy(update={"position": place % numerator + 1}))
            found.append(beat.model_copy(update={"position": (place + 1) % numerator + 1}))
    whole = [beat.time for beat in beats.beats] + [beats.beats[-1].time + usual]
    times = [time for before, after in pairwise(whole) for time in (before, round((before + after) / 2, 6))]
    made = [beat.model_copy(update={"time": time}) for beat, time in zip(found, times, strict=True)]
    return tuple(beat for beat in made if beat.time <= duration)


def _passages(beats: BeatsKey) -> list[tuple[list[Beat], int]]:
    """The beats of each meter with its number of beats in a bar."""
    changes = beats.meter_changes or (beats.meter,)
    found: list[tuple[list[Beat], int]] = [([], change.numerator) for change in changes]
    for beat in beats.beats:
        number = max((place for place, change in enumerate(changes) if change.start <= beat.time + 1e-6), default=0)
        found[number][0].append(beat)
    return [passage for passage in found if passage[0]]


# --- the one ---------------------------------------------------------------------------------------------------------------------------


def _downbeat_moved(grid: Grid, change: c.DownbeatMoved, duration: float) -> tuple[Grid, Outcome]:
    beats = list(grid.beats.beats)
    target = _beat_at(grid.times, change.downbeat)
    if abs(grid.times[target] - change.downbeat) > _NO_BEAT * _period(grid.times):
        raise Conflict(f"no beat is heard at {clock(change.downbeat)} now")
    positions = [beat.position for beat in beats]
    if positions[target] == 1:
        return replace(grid, said=grid.said | {"downbeats"}), obsolete(f"the beat at {clock(change.downbeat)} is heard as the one")
    steps = [step for step in range(-31, 32) if 0 <= target - step < len(beats) and positions[target - step] == 1]
    if not steps:
        raise Conflict(f"no bar begins near {clock(change.downbeat)}")
    # Half a bar is as far both ways; the person's is the one that is meant.
    by = min(steps, key=lambda step: (step != change.beats, abs(step)))
    since = 0 if change.since is None else _beat_at(grid.times, change.since)
    numerators = _numerators(grid.beats)
    renewed = list(positions)
    for index in range(since, len(beats)):
        renewed[index] = positions[index - by] if since <= index - by < len(beats) else 0
    _fill(renewed, numerators, since)
    whole = tuple(beat.model_copy(update={"position": position}) for beat, position in zip(beats, renewed, strict=True))
    times = grid.times

    def carried(time: float) -> float:
        index = bisect_left(times, time - 1e-6)
        inside = since < index < len(times) and abs(times[index] - time) < 1e-3 and 0 < index + by < len(times)
        return times[index + by] if inside else time

    result, meters = _with_meters(grid, carried, duration)
    result = result.model_copy(update={"beats": whole})
    outcome = applied if by == change.beats else moved
    text = f"the one is {abs(by)} beat{'s' if abs(by) > 1 else ''} {'later' if by > 0 else 'earlier'}"
    return replace(grid, beats=result, meters=meters, said=grid.said | {"downbeats"}), outcome(text)


def _fill(positions: list[int], numerators: Sequence[int], since: int) -> None:
    """Count on where a position is 0: backwards to the start of a passage, forwards to the end."""
    for index in range(since, len(positions)):
        if positions[index] == 0 and index > since and positions[index - 1]:
            positions[index] = positions[index - 1] % numerators[index] + 1
    for index in range(len(positions) - 2, since - 1, -1):
        if positions[index] == 0:
            positions[index] = (positions[index + 1] - 2) % numerators[index] + 1


def _numerators(beats: BeatsKey) -> list[int]:
    return [numerator for passage, numerator in _passages(beats) for _ in passage]


# --- where the beats are ---------------------------------------------------------------------------------------------------------------


def _beats_shifted(grid: Grid, change: c.BeatsShifted, duration: float) -> tuple[Grid, Outcome]:
    by = change.ms / 1000
    differs = lag(change.heard, grid.times)
    if change.heard and differs is None:
        raise Conflict("other beats are heard now")
    left = round(by - (differs or 0.0), 6)
    if abs(left) < _THERE_SEC < abs(by):
        return replace(grid, said=grid.said | {"beats"}), obsolete("the beats are heard there")
    times = [round(time + left, 6) for time in grid.times]
    if not times or sum(0 <= time <= duration for time in times) < len(times) / 2:
        raise Conflict("most beats would be outside the song")

    def carried(time: float) -> float:
        return time if time <= 0 or time >= duration else min(max(round(time + left, 6), 0.0), duration)

    result, meters = _with_meters(grid, carried, duration)
    curve = tuple(point.model_copy(update={"time": carried(point.time)}) for point in grid.beats.tempo.curve)
    kept = [_said_beat(beat, time) for beat, time in zip(grid.beats.beats, times, strict=True) if 0 <= time <= duration]
    tempo = result.tempo.model_copy(update={"curve": _increasing(curve)})
    result = result.model_copy(update={"beats": tuple(kept), "tempo": tempo})
    outcome = applied if abs(left - by) < _THERE_SEC else moved
    return replace(grid, beats=result, meters=meters, said=grid.said | {"beats"}), outcome(f"all beats {1000 * left:+.0f} ms")


def lag(heard: Sequence[float], times: Sequence[float]) -> float | None:
    """By how much beats are later now than when they were heard (s, the median); None where they are other beats."""
    if not heard or len(times) < 2:
        return 0.0 if not heard else None
    reach = 0.3 * _period(times)
    found = [times[near] - time for time in heard if abs(times[near := _nearest(times, time)] - time) <= reach]
    if len(found) < max(1, _SEEN_AGAIN * len(heard)):
        return None
    return median(found)


def _beats_tapped(grid: Grid, change: c.BeatsTapped, duration: float) -> tuple[Grid, Outcome]:
    taps = sorted({round(time, 6) for time in change.times if time <= duration})
    if len(taps) < 4:
        raise Conflict("the taps lie outside the song")
    heard = grid.times
    period = _period(taps)
    meant = sorted({_meant(tap, heard, period) for tap in taps})
    first, last = meant[0] - period / 2, meant[-1] + period / 2
    before, after = _level_of(heard, period, meant[0], meant[-1])
    times = [*(time for time in before if time < first), *meant, *(time for time in after if time > last)]
    numerators = _numerators(grid.beats) or [4]
    positions = _carried_positions(times, grid, period, numerators)
    if change.downbeat is not None:
        one = _nearest(times, change.downbeat)
        usual = grid.beats.meter.numerator
        positions = [(index - one) % usual + 1 for index in range(len(times))]
    if times == heard and positions == [beat.position for beat in grid.beats.beats]:
        return replace(grid, said=grid.said | {"beats", "tempo"}), obsolete("the beats are heard where they were tapped")
    made = tuple(
        Beat(time=time, position=position, confidence=1.0 if first <= time <= last else _conf_near(grid, time))
        for time, position in zip(times, positions, strict=True)
    )
    result = grid.beats.model_copy(update={"beats": made, "tempo": _tempo_of(made)})
    said = {"beats", "tempo"} | ({"downbeats"} if change.downbeat is not None else set())
    text = f"{len(meant)} beats from {clock(meant[0])} to {clock(meant[-1])}"
    return replace(grid, beats=result, said=grid.said | said), applied(text)


def _meant(tap: float, heard: Sequence[float], period: float) -> float:
    """The beat a tap means: a heard one near it, which is more exact than a finger."""
    if not heard:
        return tap
    near = heard[_nearest(heard, tap)]
    return near if abs(near - tap) <= min(_TAP_SEC, period / 4) else tap


def _level_of(heard: Sequence[float], period: float, first: float, last: float) -> tuple[list[float], list[float]]:
    """The heard beats before and after the taps, at the taps' level of the pulse where they are heard at half or twice of it."""
    if len(heard) < 2:
        return [], []
    ratio = period / _period(heard)
    if abs(math.log(ratio / 2)) < _SAME_TEMPO:
        ahead, behind = [t for t in heard if t < first - period / 4], [t for t in heard if t > last + period / 4]
        return ahead[::-1][1::2][::-1], behind[1::2]
    if abs(math.log(ratio * 2)) < _SAME_TEMPO:
        whole = sorted({*heard, *(round((a + b) / 2, 6) for a, b in pairwise(heard))})
        return whole, whole
    return list(heard), list(heard)


def _carried_positions(times: Sequence[float], grid: Grid, period: float, numerators: Sequence[int]) -> list[int]:
    """Each bar begins on the beat nearest to where it began."""
    positions = [0] * len(times)
    usual = grid.beats.meter.numerator
    same = len(grid.times) < 2 or abs(math.log(period / _period(grid.times))) < _SAME_TEMPO
    ones = [beat.time for beat in grid.beats.beats if beat.position == 1]
    if ones and same:
        for one in ones:
            index = _nearest(times, one)
            if abs(times[index] - one) <= period / 2:
                positions[index] = 1
    elif ones:
        positions[_nearest(times, ones[0])] = 1
    else:
        return [index % usual + 1 for index in range(len(times))]
    _fill(positions, [*numerators, *[numerators[-1]] * len(times)], 0)
    return positions


def _beats_replaced(grid: Grid, change: c.BeatsReplaced, duration: float) -> tuple[Grid, Outcome]:
    pairs = sorted({round(time, 6): position for time, position in change.beats if time <= duration}.items())
    if len(pairs) < 2:
        raise Conflict("the beats lie outside the song")
    now = [(beat.time, beat.position) for beat in grid.beats.beats]
    same = len(now) == len(pairs) and all(abs(a[0] - b[0]) < _THERE_SEC and a[1] == b[1] for a, b in zip(now, pairs, strict=True))
    said = grid.said | {"beats", "downbeats", "tempo", "meter"}
    if same:
        return replace(grid, said=said), obsolete("the beats are heard so")
    made = tuple(Beat(time=time, position=position, confidence=1.0) for time, position in pairs)
    changes = _meters_of(made, grid.beats.meter.denominator, duration)
    result = grid.beats.model_copy(
        update={"beats": made, "tempo": _tempo_of(made), "meter_changes": changes, "meter": _longest(changes) or grid.beats.meter}
    )
    return replace(grid, beats=result, said=said, meters=frozenset(m.start for m in changes)), applied(f"{len(made)} beats")


def _meters_of(beats: Sequence[Beat], denominator: int, duration: float) -> tuple[MeterSpan, ...]:
    """The meters that the positions amount to: bars of one length in a row."""
    ones = [index for index, beat in enumerate(beats) if beat.position == 1]
    if not ones:
        return ()
    lengths = [after - before for before, after in pairwise(ones)]
    lengths.append(max(len(beats) - ones[-1], lengths[-1] if lengths else beats[-1].position))
    starts = [(0.0, lengths[0])]
    starts += [(beats[one].time, now) for one, before, now in zip(ones[1:], lengths[:-1], lengths[1:], strict=True) if now != before]
    ends = [*(start for start, _ in starts[1:]), duration]
    return tuple(
        MeterSpan(start=start, end=end, numerator=numerator, denominator=denominator, confidence=1.0)
        for (start, numerator), end in zip(starts, ends, strict=True)
        if end > start
    )


# --- meter and key ---------------------------------------------------------------------------------------------------------------------


def _meter(grid: Grid, change: c.MeterSet, duration: float) -> tuple[Grid, Outcome]:
    changes = grid.beats.meter_changes or (grid.beats.meter.model_copy(update={"start": 0.0, "end": duration}),)
    wanted = {"numerator": change.numerator, "denominator": change.denominator, "confidence": 1.0}
    place = 0
    if change.at is None:
        spans: tuple[MeterSpan, ...] = (MeterSpan(start=0.0, end=duration, **wanted),)
        where = range(len(changes))
    else:
        place = max((number for number, span in enumerate(changes) if span.start <= change.at + 1e-6), default=0)
        spans = tuple(span.model_copy(update=wanted) if number == place else span for number, span in enumerate(changes))
        where = range(place, place + 1)
    same = all((changes[number].numerator, changes[number].denominator) == (change.numerator, change.denominator) for number in where)
    own = frozenset(span.start for span in spans if span.confidence == 1.0) | grid.meters
    said = grid.said | ({"meter"} if change.at is None else set())
    text = f"{change.numerator}/{change.denominator}"
    result = grid.beats.model_copy(update={"meter_changes": spans, "meter": _longest(spans) or grid.beats.meter})
    if same and len(spans) == len(changes):
        return replace(grid, beats=result, meters=own, said=said), obsolete(f"the meter is heard as {text}")
    result = result.model_copy(update={"beats": _recounted(result.beats, spans[place])})
    return replace(grid, beats=result, meters=own, said=said | {"downbeats"}), applied(text)


def _recounted(beats: Sequence[Beat], span: MeterSpan) -> tuple[Beat, ...]:
    """The beats of a passage, counted from its first one."""
    until = span.end - 1e-6 if any(beat.time > span.end + 1e-6 for beat in beats) else math.inf
    inside = [index for index, beat in enumerate(beats) if span.start - 1e-6 <= beat.time < until]
    first = next((index for index in inside if beats[index].position == 1), inside[0] if inside else 0)
    known = set(inside)
    return tuple(
        beat.model_copy(update={"position": (index - first) % span.numerator + 1}) if index in known else beat
        for index, beat in enumerate(beats)
    )


def _key(grid: Grid, change: c.KeySet, duration: float) -> tuple[Grid, Outcome]:
    start, end = change.start or 0.0, min(duration, duration if change.end is None else change.end)
    if end - start < 0.01:
        raise Conflict("the passage lies outside the song")
    start, end = _snapped(start, grid, duration), _snapped(end, grid, duration)
    if end <= start:
        raise Conflict("the passage is shorter than a beat")
    spans = grid.beats.key_spans
    name = f"{change.tonic} {change.mode}"
    covering = [span for span in spans if min(span.end, end) - max(span.start, start) > 0.25]
    same = bool(covering) and all((span.tonic, span.mode) == (change.tonic, change.mode) for span in covering)
    said = KeySpan(start=start, end=end, tonic=change.tonic, mode=change.mode, confidence=1.0)
    left = [span.model_copy(update={"end": min(span.end, start)}) for span in spans if span.start < start]
    right = [span.model_copy(update={"start": max(span.start, end)}) for span in spans if span.end > end]
    whole = tuple(span for span in (*left, said, *right) if span.end - span.start > 1e-6)
    result = grid.beats.model_copy(update={"key_spans": whole, "global_key": max(whole, key=lambda span: span.end - span.start)})
    keys = frozenset(key for key in grid.keys if not start <= key < end) | {start}
    return replace(grid, beats=result, keys=keys), (obsolete(f"the key is heard as {name}") if same else applied(name))


def _snapped(time: float, grid: Grid, duration: float) -> float:
    """The beat, or the end of the song, that a passage begins or ends with where it is that near."""
    marks = [0.0, *grid.times, duration]
    near = min(marks, key=lambda mark: abs(mark - time))
    return near if abs(near - time) < 0.25 else round(time, 6)


# --- parts of the above ----------------------------------------------------------------------------------------------------------------


def _beat_at(times: Sequence[float], time: float) -> int:
    """Index of the beat at a time. Raises Conflict where none is within half a beat."""
    if len(times) < 2:
        raise Conflict("there are no beats")
    near = _nearest(times, time)
    if abs(times[near] - time) > _period(times) / 2:
        raise Conflict(f"there is no beat near {clock(time)}")
    return near


def _nearest(times: Sequence[float], time: float) -> int:
    place = bisect_left(times, time)
    return min(range(max(0, place - 1), min(len(times), place + 1)), key=lambda index: abs(times[index] - time))


def _period(times: Sequence[float]) -> float:
    gaps = [after - before for before, after in pairwise(times)]
    return median(gaps) if gaps else 1.0


def _said_beat(beat: Beat, time: float) -> Beat:
    return beat.model_copy(update={"time": time, "confidence": 1.0})


def _conf_near(grid: Grid, time: float) -> float:
    return grid.beats.beats[_nearest(grid.times, time)].confidence if grid.times else 0.0


def _with_meters(grid: Grid, carried: Callable[[float], float], duration: float) -> tuple[BeatsKey, frozenset[float]]:
    """The meters with their bounds carried along, and which of them a person said."""
    moved_spans = []
    own = set()
    for span in grid.beats.meter_changes:
        start, end = carried(span.start), carried(span.end) if span.end < duration else span.end
        if start in grid.meters or span.start in grid.meters:
            own.add(start)
        if end > start:
            moved_spans.append(span.model_copy(update={"start": start, "end": end}))
    spans = tuple(moved_spans)
    return grid.beats.model_copy(update={"meter_changes": spans, "meter": _longest(spans) or grid.beats.meter}), frozenset(own)


def _longest(spans: Sequence[MeterSpan]) -> MeterSpan | None:
    """The meter that holds longest in all."""
    total: dict[tuple[int, int], float] = {}
    for span in spans:
        name = (span.numerator, span.denominator)
        total[name] = total.get(name, 0.0) + span.end - span.start
    return max(spans, key=lambda span: (total[span.numerator, span.denominator], span.end - span.start), default=None)


def _increasing(curve: Sequence[TempoPoint]) -> tuple[TempoPoint, ...]:
    kept: list[TempoPoint] = []
    for point in curve:
        if not kept or point.time > kept[-1].time:
            kept.append(point)
    return tuple(kept)


def _tempo_of(beats: Sequence[Beat]) -> Tempo:
    """The tempo of beats that a person set: of the median beat, and bar by bar where it changes."""
    times = [beat.time for beat in beats]
    bpm = round(60 / _period(times), 3)
    ones = [index for index, beat in enumerate(beats) if beat.position == 1] or [0]
    bars = [*ones, len(beats) - 1] if ones[-1] < len(beats) - 1 else ones
    curve: list[TempoPoint] = []
    for first, last in pairwise(bars):
        local = round(60 * (last - first) / (times[last] - times[first]), 3)
        if not curve or abs(local / curve[-1].bpm - 1) > _STEADY:
            curve.append(TempoPoint(time=times[first], bpm=local))
    curve = curve or [TempoPoint(time=times[0], bpm=bpm)]
    return Tempo(bpm_global=bpm, confidence=1.0, curve=tuple(curve), candidates=(TempoCandidate(bpm=bpm, weight=1.0),))


_HANDLERS: Final[dict[type, Callable[[Grid, Any, float], tuple[Grid, Outcome]]]] = {
    c.TempoHalved: _tempo_halved,
    c.TempoDoubled: _tempo_doubled,
    c.DownbeatMoved: _downbeat_moved,
    c.BeatsShifted: _beats_shifted,
    c.BeatsTapped: _beats_tapped,
    c.BeatsReplaced: _beats_replaced,
    c.MeterSet: _meter,
    c.KeySet: _key,
}
