"""A song of a style and a number: the same notes, times and truth on every machine.

Positions are in beats until the players are placed in time; everything random comes from `random.Random` with the song's name.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tasks.evaluation.annotations import Span, TrueNote
from tasks.evaluation.datasets.made import parts
from tasks.evaluation.datasets.made.harmony import Key, bars_of, parsed
from tasks.evaluation.datasets.made.parts import Note, Singing, Sounding
from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.datasets.made.styles.table import Chords, Style
from tasks.evaluation.datasets.made.timeline import Bar, Timeline, beat_times
from tasks.evaluation.datasets.synth import Band, Player, SoundingNote

_SHORTEST_SEC, _LONGEST_SEC = 35.0, 75.0
_KEY_STEPS = (1, 2, 3, -3, 5, -1, 4)


@dataclass(frozen=True)
class MadeSong:
    """A song and everything that is true of it. Times are seconds."""

    name: str
    style: str
    band: Band
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    meters: tuple[tuple[float, int], ...]
    """(seconds, beats in a bar) wherever the length of the bars changes."""
    bar_lengths: tuple[int, ...]
    """Beats of every whole bar."""
    bpm: float
    keys: tuple[Span, ...]
    chords: tuple[Span, ...]
    melody: tuple[TrueNote, ...] | None
    bass: tuple[TrueNote, ...] | None
    traits: tuple[str, ...]
    """What is unusual in it: the tempo curve, a pickup, a gap, a tuning …"""


@dataclass(frozen=True)
class _Section:
    letter: str
    bars: tuple[Bar, ...]
    chords: tuple[tuple[str, ...], ...]
    key: Key


def compose(style_name: str, number: int) -> MadeSong:
    style = STYLES[style_name]
    name = f"{style_name}_{number}"
    rng = random.Random(f"performia/made/{name}")
    bpm = round(rng.uniform(*style.bpm), 1)
    sections = _form(style, Key(rng.randrange(12), style.mode), bpm, rng)
    bars = tuple(bar for section in sections for bar in section.bars)
    curve = rng.choice(style.curves)
    if curve == "steady" and rng.random() < 0.12:
        curve = rng.choice(("accelerando", "ritardando", "step"))
    holes = _holes(style, sections, rng)
    start = round(rng.uniform(0.05, 1.6), 3)
    swing = round(rng.uniform(*style.swing), 3)
    timeline = Timeline(bars, beat_times(bars, bpm, curve, start, holes, rng), swing, style.swing_units, holes)
    has_early = rng.random() < style.early
    chords = _chords(sections, early=has_early, style=style, rng=rng)
    has_break = rng.random() < 0.12
    players = _players(style, sections, chords, rng)
    if has_break:
        players = _with_break(players, bars, rng)
    band = _in_time(players, timeline, rng)
    cents = rng.choice((0, 0, 0, round(rng.uniform(-50, 50))))
    band = replace(band, cents=cents, font=rng.randrange(3), peak_db=round(rng.uniform(-12.0, -0.5), 1), length=timeline.times[-1] + 2.5)
    traits = (
        [curve] * (curve != "steady")
        + ["pickup"] * bars[0].is_pickup
        + ["gap"] * bool(holes)
        + ["early chords"] * has_early
        + ["break"] * has_break
    )
    traits += [f"{cents:+d} cents"] * bool(cents) + ["no drums"] * (not any(player.is_drums for player in band.players))
    traits += ["modulates"] * (len({section.key for section in sections}) > 1) + ["odd bar"] * (
        len({b.beats for b in bars if not b.is_pickup}) > 1
    )
    notes = {player.name: player.notes for player in band.players}
    return MadeSong(
        name,
        style_name,
        band,
        tuple(round(t, 4) for t in timeline.beats),
        tuple(round(t, 4) for t in timeline.downbeats),
        timeline.meters(),
        tuple(bar.beats for bar in bars if not bar.is_pickup),
        bpm,
        _key_spans(sections, timeline),
        _chord_spans(chords, timeline),
        _true(notes.get("melody")),
        _true(notes.get("bass")),
        tuple(traits),
    )


def _true(notes: tuple[SoundingNote, ...] | None) -> tuple[TrueNote, ...] | None:
    return tuple(TrueNote(round(n.start, 4), round(n.end, 4), float(n.pitch)) for n in notes) if notes else None


def _form(style: Style, key: Key, bpm: float, rng: random.Random) -> list[_Section]:
    """Sections until the song is long enough, in one key or with a change of key."""
    wanted = rng.uniform(_SHORTEST_SEC, _LONGEST_SEC - 20) * bpm / 60.0
    first = rng.choice(style.progressions)
    key = Key(key.tonic, _mode(style, first))
    progressions = {"A": first, "B": rng.choice([p for p in style.progressions if _is_minor(p) == _is_minor(first)])}
    order = rng.choice(("AABA", "ABAB", "AABB", "A", "ABBA"))
    shift_from = rng.uniform(0.35, 0.7) * wanted if rng.random() < style.modulates else None
    shift = rng.choice(_KEY_STEPS)
    returns = rng.random() < 0.3
    sections: list[_Section] = []
    position, count = 0, 0
    if rng.random() < style.pickup:
        position = rng.randint(1, style.meter - 1)
    pickup = Bar(0, position, is_pickup=True) if position else None
    while position < wanted or not sections:
        letter = order[count % len(order)]
        in_key = key
        if shift_from is not None and position >= shift_from and not (returns and position > shift_from + 0.3 * wanted):
            in_key = key.moved(shift)
        names = bars_of(progressions[letter])
        if len(names) <= 4 and rng.random() < 0.5:
            names = names * 2
        bars, chords = [], []
        for index, chord_names in enumerate(names):
            beats = style.bars[index % len(style.bars)] if style.bars else style.meter
            if style.odd_bar and index == len(names) - 1 and rng.random() < style.odd_bar * 0.5:
                beats = rng.choice([b for b in (2, 3, 5) if b != style.meter])
            bars.append(Bar(position, beats))
            chords.append(tuple(chord_names))
            position += beats
        if pickup is not None and not sections:
            bars, chords = [pickup, *bars], [(chords[0][0],), *chords]
        sections.append(_Section(letter, tuple(bars), tuple(chords), in_key))
        count += 1
    final = Bar(position, style.meter)
    sections.append(_Section("Z", (final,), ((_tonic_chord(progressions["A"], in_key),),), in_key))
    return sections


def _is_minor(progression: str) -> bool:
    return any(chord.startswith(("1:min", "1:5")) for bar in bars_of(progression) for chord in bar)


def _mode(style: Style, progression: str) -> str:
    """The style's mode, or where the progression is of the other gender plain minor or major."""
    if _is_minor(progression) == (style.mode in ("minor", "dorian")):
        return style.mode
    return "minor" if _is_minor(progression) else "major"


def _tonic_chord(progression: str, key: Key) -> str:
    names = [c for bar in bars_of(progression) for c in bar if c.startswith("1:") and "/" not in c and "sus" not in c]
    return names[0] if names else ("1:min" if key.is_minor else "1:maj")


def _chords(sections: Sequence[_Section], *, early: bool, style: Style, rng: random.Random) -> list[Sounding]:
    """The chords along the song. early: about half of the changes come half a beat before."""
    found: list[Sounding] = []
    for section in sections:
        for bar, names in zip(section.bars, section.chords, strict=True):
            names = names[: bar.beats]
            edges = [bar.start + -(-bar.beats * i // len(names)) for i in range(len(names))] + [bar.end]
            for index, name in enumerate(names):
                chord = parsed(name, section.key)
                if found and found[-1].chord == chord and found[-1].key == section.key:
                    found[-1] = replace(found[-1], end=edges[index + 1])
                    continue
                start: float = edges[index]
                if early and found and rng.random() < 0.5:
                    start -= 0.5 if style.meter != 7 else 1.0
                    found[-1] = replace(found[-1], end=start)
                found.append(Sounding(start, edges[index + 1], chord, section.key))
    return found


def _key_spans(sections: Sequence[_Section], timeline: Timeline) -> tuple[Span, ...]:
    spans: list[Span] = []
    for section in sections:
        start, end = timeline.times[section.bars[0].start], timeline.times[section.bars[-1].end]
        if spans and spans[-1].label == section.key.label:
            spans[-1] = replace(spans[-1], end=round(end, 4))
        else:
            spans.append(Span(round(start, 4), round(end, 4), section.key.label))
    return tuple(spans)


def _chord_spans(chords: Sequence[Sounding], timeline: Timeline) -> tuple[Span, ...]:
    """The chords in seconds; in a hole there is none."""
    spans: list[Span] = []
    for sounding in chords:
        edges = [sounding.start, *(b for b in sorted(timeline.holes) if sounding.start < b < sounding.end), sounding.end]
        for start, end in pairwise(edges):
            begin = round(timeline.seconds(start), 4)
            if spans and begin - spans[-1].end > 0.01:
                spans.append(Span(spans[-1].end, begin, "N"))
            spans.append(Span(begin, round(timeline.ending(end), 4), sounding.chord.label))
    return tuple(spans)


def _holes(style: Style, sections: Sequence[_Section], rng: random.Random) -> dict[int, float]:
    """A silence that no pulse runs through, before a section in the middle."""
    if len(sections) < 3 or rng.random() >= style.hole:
        return {}
    return {rng.choice(sections[1:-1]).bars[0].start: round(rng.uniform(1.3, 4.2), 3)}


# What each player plays ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Playing:
    name: str
    program: int
    level: int
    notes: list[Note]
    is_drums: bool = False


def _players(style: Style, sections: Sequence[_Section], chords: Sequence[Sounding], rng: random.Random) -> list[_Playing]:
    players = []
    without_drums = not style.drums or rng.random() < style.drumless
    if not without_drums:
        players.append(_Playing("drums", rng.choice(style.kits), rng.randint(84, 112), _drums(style, sections, rng), is_drums=True))
    if style.bass:
        players.append(_Playing("bass", rng.choice(style.bass_programs), rng.randint(84, 112), _bass(style, sections, chords, rng)))
    chosen = [c for c in style.chords if c.always or rng.random() < 0.55]
    for index, comp in enumerate(chosen):
        level = max(40, min(120, comp.level + rng.randint(-12, 12)))
        players.append(_Playing(f"chords{index + 1}", rng.choice(comp.programs), level, _comp(style, comp, sections, chords, rng)))
    if style.melody is not None and rng.random() < 0.93:
        players.append(_Playing("melody", rng.choice(style.leads), rng.randint(84, 112), _melody(style.melody, sections, chords, rng)))
    return players


def _drums(style: Style, sections: Sequence[_Section], rng: random.Random) -> list[Note]:
    patterns = [rng.choice(style.drums) for _ in range(2)]
    enters = rng.choice((0, 0, 0, 0, 1)) if len(sections) > 3 else 0
    has_fills, per_beat = rng.random() < style.fills, rng.choice((2, 4)) if style.meter not in (2, 7) else 2
    every = rng.choice((4, 8, 8))
    crash = rng.random() * 2 * style.crash
    notes: list[Note] = []
    number = 0
    for index, section in enumerate(sections):
        pattern = patterns["AB".find(section.letter) % 2]
        if rng.random() < 0.12 and index > 0:  # without its snare or its kick for a while
            pattern = {letter: text for letter, text in pattern.items() if letter not in rng.choice(("S", "K", "KS"))} or pattern
        variation = random.Random(f"{style.bpm}/{section.letter}/{rng.random() if rng.random() < 0.3 else 0}")
        for bar in section.bars:
            if bar.is_pickup or index < enters:
                if bar.is_pickup and rng.random() < 0.3:
                    notes += parts.fill(bar, bar.beats, 2, rng)
                continue
            number += 1
            if section.letter == "Z":
                notes += [Note(bar.start, bar.start + 1, parts.DRUMS[letter], 100) for letter in rng.choice(("KC", "K", "KS", "C"))]
                continue
            played = parts.drum_bar(pattern, bar, style.meter, variation, loose=style.loose)
            if has_fills and number % every == 0 and rng.random() < 0.85:
                beats = min(rng.choice((1, 1, 2, bar.beats)), bar.beats)
                played = [note for note in played if note.start < bar.end - beats] + parts.fill(bar, beats, per_beat, rng)
            if number % every == 1 and rng.random() < crash:
                played.append(Note(bar.start, bar.start + 1, parts.DRUMS["C"], rng.randint(88, 112)))
            if rng.random() < crash * 0.08:
                at = bar.start + rng.randrange(bar.beats * 2) / 2
                played.append(Note(at, at + 1, parts.DRUMS["C"], rng.randint(80, 108)))
            notes += played
    return notes


def _bass(style: Style, sections: Sequence[_Section], chords: Sequence[Sounding], rng: random.Random) -> list[Note]:
    patterns = {letter: rng.choice(style.bass) for letter in "AB"}
    if rng.random() < 0.5:
        patterns["B"] = patterns["A"]
    register = style.bass_register - rng.choice((0, 0, 2, 5))
    enters = rng.choice((0, 0, 0, 0, 0, 1)) if len(sections) > 3 else 0
    notes: list[Note] = []
    for index, section in enumerate(sections):
        for bar in section.bars:
            if bar.is_pickup or index < enters:
                continue
            pattern = patterns.get(section.letter, "")
            if section.letter == "Z":
                notes.append(Note(bar.start, bar.end, parts.low_pitch(chords[-1].chord.bass_class, max(register, 28)), 96))
            elif pattern == "walk":
                notes += parts.walking_bar(bar, chords, register, rng, notes[-1].pitch if notes else None)
            else:
                notes += parts.bass_bar(pattern, bar, style.meter, chords, register)
    return notes


def _comp(style: Style, comp: Chords, sections: Sequence[_Section], chords: Sequence[Sounding], rng: random.Random) -> list[Note]:
    patterns = {letter: rng.sample(comp.patterns, min(len(comp.patterns), 2)) for letter in "AB"}
    if rng.random() < 0.4:
        patterns["B"] = patterns["A"]
    turns = rng.choice((1, 1, 2)) if len(comp.patterns) < 5 or style.meter != 4 else 2
    notes: list[Note] = []
    for section in sections:
        for index, bar in enumerate(section.bars):
            if bar.is_pickup:
                continue
            if section.letter == "Z":
                notes += [Note(bar.start, bar.end, pitch, 84) for pitch in parts.voiced(chords[-1].chord, comp.voicing, comp.register)]
                continue
            choice = patterns[section.letter]
            pattern = choice[index % min(turns, len(choice))]
            notes += parts.chord_bar(pattern, bar, style.meter, chords, comp.voicing, comp.register)
    return notes


def _melody(how: Singing, sections: Sequence[_Section], chords: Sequence[Sounding], rng: random.Random) -> list[Note]:
    """The same letter sings the same rhythms and mostly the same notes; it may rest for a section."""
    how = replace(
        how,
        low=how.low + rng.choice((-5, 0, 0, 5)),
        high=how.high + rng.choice((-5, 0, 0, 3)),
        phrase=rng.choice((how.phrase, how.phrase, 4)),
    )
    silent = rng.choice((None, None, 0, 2))
    salt = rng.random()
    notes: list[Note] = []
    for index, section in enumerate(sections[:-1]):
        if index == silent and len(sections) > 3:
            continue
        own = random.Random(f"{salt}/{section.letter}/{rng.random() if rng.random() < 0.25 else ''}")
        bars = [bar for bar in section.bars if not bar.is_pickup]
        if section.bars[0].is_pickup:
            first = section.bars[0]
            notes += [Note(b, b + 0.9, 12 * 5 + own.choice(chords[0].chord.tones), 96) for b in range(first.start, first.end)]
        notes += [note for note in parts.melody(bars, chords, how, own) if note.start >= 0]
    last = sections[-1].bars[0]
    notes.append(Note(last.start, last.end - 0.5, 60 + chords[-1].chord.root, 100))
    return parts.one_voice(notes)


def _with_break(players: list[_Playing], bars: Sequence[Bar], rng: random.Random) -> list[_Playing]:
    """A bar in which everybody is silent but, perhaps, one player; the pulse runs on."""
    bar = rng.choice(bars[len(bars) // 3 : -1])
    alone = rng.choice([player.name for player in players] + ["nobody"])
    return [
        player
        if player.name == alone
        else replace(
            player,
            notes=[
                replace(n, end=min(n.end, bar.start)) if n.start < bar.start else n
                for n in player.notes
                if not bar.start <= n.start < bar.end
            ],
        )
        for player in players
    ]


def _in_time(players: Sequence[_Playing], timeline: Timeline, rng: random.Random) -> Band:
    """Seconds, a human's unevenness, and where each player sits."""
    loose_sec, uneven = rng.choice((0.0, 0.004, 0.008, 0.012)), rng.choice((0, 5, 9))
    placed = []
    for player in players:
        late = rng.uniform(0.0, 0.008) if loose_sec else 0.0
        notes = []
        for note in sorted(player.notes, key=lambda note: (note.start, note.pitch)):
            start = timeline.seconds(note.start)
            end = timeline.ending(note.end)
            shift = late + rng.gauss(0.0, loose_sec) if loose_sec else 0.0
            velocity = max(18, min(127, round(note.velocity + rng.gauss(0.0, uneven))))
            begin = max(0.0, start + max(-0.03, min(0.03, shift)))
            notes.append(SoundingNote(begin, max(end, begin + 0.03), note.pitch, velocity))
        pan = 64 if player.name in ("drums", "bass", "melody") else rng.randint(20, 108)
        placed.append(Player(player.name, player.program, tuple(notes), player.is_drums, player.level, pan))
    return Band(tuple(placed))
