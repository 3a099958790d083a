"""What each player plays: patterns in text along the bars, walking basses, melodies. Positions are in beats from the song's beginning.

A pattern is one bar in text, as many signs as it has steps; spaces are for the eye. `.` is a rest, `-` holds the sound.
drums   x a stroke, X an accent, o a soft one
bass    1 the chord's lowest note, r its root, 3 5 7 its tones, 8 the lowest note an octave higher, d the fifth below
chords  x the whole chord, X with an accent, 0 1 2 3 4 5 single notes of it from below
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tasks.evaluation.datasets.made.harmony import Chord, Key, scale_under
from tasks.evaluation.datasets.made.timeline import Bar

#: General MIDI percussion by letter.
DRUMS: Final = {
    "K": 36, "S": 38, "R": 37, "L": 39, "H": 42, "P": 44, "O": 46, "C": 49, "D": 51, "B": 53, "J": 54, "W": 56, "T": 45, "M": 47, "U": 50,
    "F": 41, "q": 64, "Q": 63, "b": 61, "n": 60, "A": 82, "V": 75, "g": 80, "t": 76,
}  # fmt: skip
_VELOCITY: Final = {"x": 92, "X": 112, "o": 48}
_LOWEST_BASS: Final = 28


@dataclass(frozen=True)
class Note:
    """start, end: beats. pitch: MIDI note number, or that of a drum."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Sounding:
    """A chord along the song; start and end in beats."""

    start: float
    end: float
    chord: Chord
    key: Key


def chord_at(chords: Sequence[Sounding], position: float) -> Sounding:
    return next((span for span in chords if span.start <= position + 1e-6 < span.end), chords[-1] if position > 0 else chords[0])


def steps(pattern: str) -> str:
    return "".join(pattern.split())


def drum_bar(pattern: dict[str, str], bar: Bar, whole: int, rng: random.Random, *, loose: float) -> list[Note]:
    """One bar of drums.

    whole: beats of the style's bar; a shorter bar gets the pattern's beginning. loose: share of the kick's off-beat steps that change.
    """
    notes = []
    for letter, text in pattern.items():
        signs = steps(text)
        step = whole / len(signs)
        for index in range(round(bar.beats / step)):
            sign = signs[index % len(signs)]
            on_beat = abs(index * step - round(index * step)) < 1e-6
            if letter == "K" and not on_beat and rng.random() < loose:
                sign = "x" if sign == "." else "."
            if sign in _VELOCITY:
                at = bar.start + index * step
                notes.append(Note(at, at + step / 2, DRUMS[letter], _VELOCITY[sign]))
    return notes


def fill(bar: Bar, beats: int, per_beat: int, rng: random.Random) -> list[Note]:
    """Snare and toms over the last beats of a bar."""
    drums = sorted(rng.choices("SUMTF", k=rng.randint(1, 3)), key="SUMTF".index)
    count = beats * per_beat
    notes = []
    for index in range(count):
        if rng.random() < 0.85:
            at = bar.end - beats + index / per_beat
            notes.append(Note(at, at + 0.1, DRUMS[drums[index * len(drums) // count]], rng.randint(70, 112)))
    return notes


def bass_bar(pattern: str, bar: Bar, whole: int, chords: Sequence[Sounding], register: int) -> list[Note]:
    signs = steps(pattern)
    step = whole / len(signs)
    notes: list[Note] = []
    for index in range(round(bar.beats / step)):
        sign, at = signs[index % len(signs)], bar.start + index * step
        if sign == "-" and notes:
            notes[-1] = replace(notes[-1], end=at + step)
        elif sign not in ".-":
            chord = chord_at(chords, at).chord
            low = low_pitch(chord.bass_class, register)
            pitch = {
                "1": low,
                "8": low + 12,
                "r": low_pitch(chord.root, register),
                "3": low + (chord.tone(3) - low) % 12,
                "5": low + (chord.tone(5) - low) % 12,
                "7": low + (chord.tone(7) - low) % 12,
                "d": low - (low - chord.tone(5)) % 12,
            }[sign]
            notes.append(Note(at, at + step, pitch if pitch >= _LOWEST_BASS else pitch + 12, 95 if sign in "18" else 84))
    return notes


def walking_bar(bar: Bar, chords: Sequence[Sounding], register: int, rng: random.Random, previous: int | None) -> list[Note]:
    """A note on every beat: mostly the root where a chord begins, then chord and scale tones, and a neighbour of the next root before
    it."""
    notes: list[Note] = []
    last = previous if previous is not None else register + 5
    for beat in range(bar.start, bar.end):
        here, after = chord_at(chords, beat), chord_at(chords, beat + 1)
        begins = abs(here.start - beat) < 0.6
        if begins and rng.random() < 0.85:
            wanted = here.chord.bass_class
        elif after.chord != here.chord:
            wanted = (after.chord.root + rng.choice((1, -1, -1, 2, 7))) % 12
        else:
            wanted = rng.choice(here.chord.tones if rng.random() < 0.6 else scale_under(here.key, here.chord))
        pitch = min((low_pitch(wanted, register), low_pitch(wanted, register) + 12), key=lambda p: abs(p - last) + (8 if p == last else 0))
        if rng.random() < 0.06 and not begins:
            notes.append(Note(beat + 0.5, beat + 0.9, pitch, 70))
            notes.append(Note(beat, beat + 0.45, last, 84))
        else:
            notes.append(Note(beat, beat + rng.uniform(0.8, 0.98), pitch, rng.randint(82, 100)))
        last = pitch
    return notes


def chord_bar(pattern: str, bar: Bar, whole: int, chords: Sequence[Sounding], voicing: str, register: int) -> list[Note]:
    """voicing: close (within an octave), wide (and the root below), power (root, fifth, octave), shell (third and seventh), guitar (six
    strings, more or less)."""
    signs = steps(pattern)
    step = whole / len(signs)
    notes: list[Note] = []
    sounding: list[Note] = []
    for index in range(round(bar.beats / step)):
        sign, at = signs[index % len(signs)], bar.start + index * step
        here = chord_at(chords, at)
        if sign == "-" and sounding and here.chord == chord_at(chords, sounding[0].start).chord:
            sounding = [replace(note, end=at + step) for note in sounding]
            continue
        notes += sounding
        sounding = []
        if sign in ".":
            continue
        pitches = voiced(here.chord, voicing, register)
        if sign.isdigit():
            turn, voice = divmod(int(sign), len(pitches))
            pitches = [pitches[voice] + 12 * turn]
        velocity = 100 if sign == "X" else 80
        sounding = [
            Note(at + 0.012 * n * (voicing == "guitar" and len(pitches) > 1), at + step, p, velocity) for n, p in enumerate(pitches)
        ]
    return notes + sounding


def voiced(chord: Chord, voicing: str, register: int) -> list[int]:
    """Pitches of a chord from low to high, near a register: the lowest pitch of a close position."""
    close = sorted(register + (tone - register) % 12 for tone in chord.tones)
    root = register + (chord.root - register) % 12
    if voicing == "power":
        return [root, root + 7, root + 12]
    if voicing == "shell" and len(chord.tones) > 3:
        return sorted(register + (tone - register) % 12 for tone in (chord.tone(3), chord.tone(7)))
    if voicing == "wide":
        return [root - 12, *close]
    if voicing == "guitar":
        return [*close, *(pitch + 12 for pitch in close[: 6 - len(close)])]
    return close


@dataclass(frozen=True)
class Singing:
    """How a melody goes.

    per_beat: steps of its rhythm in a beat. busy: share of the steps that begin a note. early: share of notes that come a step before the
    beat.
    phrase: bars of a phrase. upbeat: share of phrases that begin before their bar. low, high: its range.
    """

    per_beat: int = 2
    busy: float = 0.45
    early: float = 0.15
    phrase: int = 2
    upbeat: float = 0.4
    low: int = 58
    high: int = 79


def melody(bars: Sequence[Bar], chords: Sequence[Sounding], how: Singing, rng: random.Random) -> list[Note]:
    """Phrases whose rhythms come back, over the chords, with rests between them."""
    rhythms: list[list[float]] = []
    notes: list[Note] = []
    pitch = rng.randint(how.low + 5, how.high - 5)
    for number, first in enumerate(range(0, len(bars), how.phrase)):
        group = bars[first : first + how.phrase]
        length = group[-1].end - group[0].start
        if not rhythms or (len(rhythms) < 3 and rng.random() < 0.45):
            rhythms.append(_rhythm(length, how, rng))
        onsets = rhythms[0] if number % 4 in (0, 1) else rng.choice(rhythms)
        onsets = [onset for onset in onsets if onset < length and (onset >= 0 or first > 0)]
        for index, onset in enumerate(onsets):
            at = group[0].start + onset
            until = onsets[index + 1] if index + 1 < len(onsets) else min(onset + rng.choice((1.0, 2.0)), length)
            pitch = _next_pitch(pitch, chord_at(chords, at + 0.26), on_beat=at == int(at), how=how, rng=rng)
            notes.append(Note(at, at + max(0.2, min(until - onset, 3.0) * rng.uniform(0.75, 0.97)), pitch, rng.randint(84, 112)))
    return one_voice(notes)


def _rhythm(length: int, how: Singing, rng: random.Random) -> list[float]:
    """Onsets of a phrase in beats from its first bar line; negative where it begins before."""
    onsets: set[float] = set()
    until = length * rng.uniform(0.6, 0.95)
    upbeat = rng.randint(1, how.per_beat * 2) if rng.random() < how.upbeat else 0
    for step in range(-upbeat, int(until * how.per_beat)):
        on_beat = step % how.per_beat == 0
        if rng.random() < how.busy * (1.5 if on_beat else 0.75) or step == -upbeat:
            onsets.add((step - 1 if on_beat and step > 0 and rng.random() < how.early else step) / how.per_beat)
    return sorted(onsets)


def _next_pitch(pitch: int, here: Sounding, *, on_beat: bool, how: Singing, rng: random.Random) -> int:
    allowed = here.chord.tones if on_beat and rng.random() < 0.75 else scale_under(here.key, here.chord)
    candidates = [p for p in range(max(how.low, pitch - 7), min(how.high, pitch + 7) + 1) if p % 12 in allowed]
    weights = [1.0 / (1.0 + abs(p - pitch)) * (0.35 if p == pitch else 1.0) for p in candidates]
    return rng.choices(candidates, weights)[0]


def one_voice(notes: list[Note]) -> list[Note]:
    """The notes in order, each cut where the next begins; of two that begin together the first."""
    ordered: list[Note] = []
    for note in sorted(notes, key=lambda note: note.start):
        if ordered and note.start - ordered[-1].start < 0.05:
            continue
        if ordered and ordered[-1].end > note.start:
            ordered[-1] = replace(ordered[-1], end=note.start)
        ordered.append(note)
    return ordered


def low_pitch(pitch_class: int, register: int) -> int:
    """The pitch of a class in the octave that begins at a register."""
    return register + (pitch_class - register) % 12
