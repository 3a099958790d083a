"""Chords of every kind, one after the other, as many kinds of players play them: what tells a seventh or a suspension from a triad.

    kinds/          may be empty: that it is there says that the songs are wanted

Generated here, with exact truth; the same notes come out on every machine. Songs that people wrote have few augmented, diminished and
suspended chords, so that nothing could be learnt of them, nor measured. Roots go on by fifths, thirds and steps, as in songs; kinds are
drawn without regard to a key. What stays together in a split is a way of playing: its instrument, voicing and what sounds beside it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tasks.common.harmony.harte import semitones, tones
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span
from tasks.evaluation.datasets.synth import Band, Player, SoundingNote, font_folder, render
from tasks.evaluation.split import split_of

SONGS_A_WAY: Final = 2
_CHORDS: Final = 20
_NAMES: Final = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
#: Kinds and how often each is drawn: those that songs have most are drawn most.
_KINDS: Final = {
    "maj": 4.0,
    "min": 3.0,
    "7": 3.0,
    "maj7": 3.0,
    "min7": 3.0,
    "sus4": 2.0,
    "sus2": 2.0,
    "aug": 1.0,
    "dim": 1.5,
    "dim7": 1.0,
    "hdim7": 1.5,
    "minmaj7": 0.5,
    "maj6": 1.0,
    "min6": 1.0,
    "9": 1.0,
    "maj9": 1.0,
    "min9": 1.0,
    "sus4(b7)": 1.0,
    "maj(9)": 1.0,
    "maj/3": 1.0,
    "maj/5": 1.0,
    "min/b3": 1.0,
    "min/5": 0.5,
    "7/3": 0.5,
    "maj7/5": 0.5,
    "min7/b7": 0.5,
}
_STEPS: Final = (5, 5, 5, 7, 7, 2, -2, -3, 4, 1, 3)


@dataclass(frozen=True)
class Way:
    """How chords are played. program: General MIDI. hand: held, struck, broken, strummed. bass: program of a bass player, or none."""

    program: int
    hand: str
    bass: int | None = None
    has_drums: bool = False
    lead: int | None = None


WAYS: Final[dict[str, Way]] = {
    "piano_held": Way(0, "held"),
    "piano_struck": Way(1, "struck"),
    "piano_broken": Way(0, "broken"),
    "piano_band": Way(0, "struck", 33, True),
    "piano_trio": Way(1, "struck", 32, True),
    "piano_song": Way(0, "broken", 33, True, 73),
    "electric_piano": Way(4, "held"),
    "electric_piano_band": Way(5, "struck", 33, True, 65),
    "harpsichord": Way(6, "broken"),
    "vibraphone": Way(11, "held", 32),
    "church_organ": Way(19, "held"),
    "drawbar_organ": Way(16, "held", 34, True),
    "accordion": Way(21, "struck", 32, True, 40),
    "nylon_strummed": Way(24, "strummed"),
    "nylon_broken": Way(24, "broken", None, False, 71),
    "steel_strummed": Way(25, "strummed", 33, True),
    "jazz_guitar": Way(26, "struck", 32, True),
    "clean_guitar": Way(27, "strummed", 33, True, 80),
    "overdriven_guitar": Way(29, "strummed", 34, True),
    "strings": Way(48, "held"),
    "strings_song": Way(49, "held", 33, True, 0),
    "choir": Way(52, "held"),
    "brass": Way(61, "struck", 33, True),
    "synth_pad": Way(89, "held", 38, True),
    "synth_saw": Way(81, "broken", 39, True),
    "harp": Way(46, "broken"),
    "saxophones": Way(66, "held", 32, True),
    "marimba": Way(12, "broken", 32),
}


@dataclass(frozen=True)
class KindsSong:
    name: str
    way: str
    band: Band
    chords: tuple[Span, ...]


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    composed = [compose(way, number) for number in range(SONGS_A_WAY) for way in WAYS]
    return [
        AnnotatedSong(
            "kinds",
            song.name,
            partial(render, song.band, rendered / f"{song.name}.flac", font_folder(folder)),
            Annotations(chords=song.chords),
            split_of("kinds", song.way),
            song.way,
        )
        for song in composed
    ]


def compose(way_name: str, number: int) -> KindsSong:
    """The song of a way of playing and a number."""
    way, name = WAYS[way_name], f"{way_name}_{number}"
    rng = random.Random(f"performia/kinds/{name}")
    beat = 60.0 / rng.uniform(70.0, 130.0)
    root, now = rng.randrange(12), round(rng.uniform(0.1, 0.8), 3)
    chords: list[Span] = []
    hand: list[SoundingNote] = []
    bass: list[SoundingNote] = []
    lead: list[SoundingNote] = []
    drums: list[SoundingNote] = []
    before: list[int] = []
    kind = ""
    for _ in range(_CHORDS):
        kind = rng.choices([k for k in _KINDS if k != kind], [weight for k, weight in _KINDS.items() if k != kind])[0]
        root = (root + rng.choice(_STEPS)) % 12
        beats = rng.choice((2, 4, 4)) if beat < 0.65 else rng.choice((2, 2, 4))
        end = now + beats * beat
        chords.append(Span(round(now, 6), round(end, 6), f"{_NAMES[root]}:{kind}"))
        above, lowest = tones_of(kind)
        classes = [(root + tone) % 12 for tone in above]
        voices = _voiced(classes, before)
        before = voices
        deep = 36 + (root + lowest - 4) % 12 + 4  # E1 … Eb2
        hand += _by_hand(way.hand, voices, None if way.bass is not None else deep + 12 * (rng.random() < 0.4), now, beats, beat, rng)
        if way.bass is not None:
            struck = [0.0] if rng.random() < 0.4 else [0.0, beats / 2]
            bass += [
                SoundingNote(now + at * beat, now + (at + beats / len(struck)) * beat * 0.95, deep, rng.randint(80, 105)) for at in struck
            ]
        if way.lead is not None:
            lead += _melody(classes, now, beats, beat, rng)
        if way.has_drums:
            drums += _drums(now, beats, beat, rng)
        now = end
    players = [Player("chords", way.program, tuple(hand), level=rng.randint(85, 110))]
    players += [Player("bass", way.bass, tuple(bass), level=rng.randint(85, 110))] if way.bass is not None else []
    players += [Player("lead", way.lead, tuple(lead), level=rng.randint(70, 95))] if way.lead is not None else []
    players += [Player("drums", 0, tuple(drums), is_drums=True, level=rng.randint(75, 100))] if way.has_drums else []
    cents = rng.choice((0, 0, 0, rng.randint(-50, 50)))
    return KindsSong(name, way_name, Band(tuple(players), cents, rng.randrange(3), length=now + 1.0), tuple(chords))


def tones_of(kind: str) -> tuple[tuple[int, ...], int]:
    """Semitones of a kind above its root, and that of its bass."""
    quality, _, bass = kind.partition("/")
    return tones(quality), semitones(bass) if bass else 0


def _voiced(classes: Sequence[int], before: Sequence[int]) -> list[int]:
    """The notes of a chord around middle C, near those before: of its inversions the one with the nearest middle."""
    ordered = sorted(set(classes))
    found = []
    for start in range(len(ordered)):
        notes, last = [], 54
        for pitch in [*ordered[start:], *ordered[:start]]:
            last += (pitch - last) % 12 or 12
            notes.append(last)
        found.append(notes)
    middle = sum(before) / len(before) if before else 62.0
    return min(found, key=lambda notes: abs(sum(notes) / len(notes) - middle))


def _by_hand(
    hand: str, voices: Sequence[int], deep: int | None, start: float, beats: int, beat: float, rng: random.Random
) -> list[SoundingNote]:
    loud = rng.randint(70, 100)
    notes = [SoundingNote(start, start + beats * beat * 0.97, deep, loud)] if deep is not None else []
    if hand == "broken":
        order = [*voices, *reversed(voices[1:-1])]
        for step in range(beats * 2):
            at = start + step * beat / 2
            notes.append(SoundingNote(at, start + beats * beat * 0.97, order[step % len(order)], loud - 10 + rng.randint(0, 8)))
        return notes
    often = {"held": (0.0,), "struck": tuple(float(at) for at in range(beats)), "strummed": tuple(at / 2 for at in range(beats * 2))}[hand]
    spread = 0.018 if hand == "strummed" else 0.0
    for index, at in enumerate(often):
        until = often[index + 1] if index + 1 < len(often) else float(beats)
        notes += [
            SoundingNote(start + at * beat + spread * place, start + until * beat * 0.97, pitch, loud + rng.randint(-6, 6))
            for place, pitch in enumerate(voices)
        ]
    return notes


def _melody(classes: Sequence[int], start: float, beats: int, beat: float, rng: random.Random) -> list[SoundingNote]:
    notes, at = [], 0.0
    while at < beats:
        lasts = min(rng.choice((0.5, 0.5, 1.0, 1.5)), beats - at)
        pitch = rng.choice(classes) if at == int(at) or rng.random() < 0.6 else (rng.choice(classes) + rng.choice((-2, -1, 1, 2))) % 12
        notes.append(SoundingNote(start + at * beat, start + (at + lasts * 0.9) * beat, 72 + pitch, rng.randint(75, 100)))
        at += lasts
    return notes


def _drums(start: float, beats: int, beat: float, rng: random.Random) -> list[SoundingNote]:
    notes = []
    for half in range(beats * 2):
        at = start + half * beat / 2
        notes.append(SoundingNote(at, at + 0.1, 42, rng.randint(60, 80)))
        if half % 2 == 0:
            notes.append(SoundingNote(at, at + 0.1, 38 if half % 4 == 2 else 36, rng.randint(85, 110)))
    return notes
