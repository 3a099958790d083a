"""A piano arrangement played by a band: drums and bass in a made song's style along its bars and chords, its own notes on other
instruments.

Which style, which instruments and which tuning is drawn from the song's name, so that every machine makes the same sound.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from tasks.evaluation.annotations import Span, TrueNote
from tasks.evaluation.datasets.made import parts
from tasks.evaluation.datasets.made.harmony import QUALITIES, Chord, Key
from tasks.evaluation.datasets.made.parts import Note, Sounding
from tasks.evaluation.datasets.made.styles import STYLES
from tasks.evaluation.datasets.made.styles.table import Style
from tasks.evaluation.datasets.made.timeline import Bar, Timeline
from tasks.evaluation.datasets.synth import Band, Player, SoundingNote

#: Straight styles: the piano's own rhythm is.
_STYLES: Final = {
    4: (
        *(
            "rock_straight",
            "rock_four_on_toms",
            "rock_off_beat_crash",
            "pop_ballad",
            "four_chord_loop",
            "motown",
            "synthpop",
            "indie_offbeat_bass",
        ),
        *("disco", "house", "breakbeat", "funk_on_four", "funk", "afrobeat", "reggae_one_drop", "ska", "bossa", "samba"),
        *("country_train", "country_two_beat", "rock_and_roll", "power_ballad"),
    ),
    3: ("waltz_rock", "country_waltz"),
}
_LEADS: Final = (0, 4, 52, 53, 56, 64, 65, 66, 71, 73, 80, 81, 40, 22)
_PIANOS: Final = (0, 1, 2, 4, 5, 6, 11, 16, 24, 25, 26, 46, 48)
_PITCH_CLASSES: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_DEGREES: Final = (0, 2, 4, 5, 7, 9, 11)
_LABEL: Final = re.compile(r"([A-G])([b#]*)(?::([a-z0-9]+)(?:\([^)]*\))?)?(?:/([b#]*)(\d+))?$")
_NO_KEY: Final = Key(0, "major")


def arranged(
    name: str, tracks: Mapping[str, Sequence[TrueNote]], timeline: Timeline, chords: Sequence[Span], meter: int, until: float
) -> Band:
    """tracks: MELODY, BRIDGE and PIANO as POP909 names them. timeline: the song's beats and bars. until: seconds of it that are wanted."""
    rng = random.Random(f"performia/arranged/{name}")
    beat_bpm = 60.0 * (len(timeline.times) - 1) / (timeline.times[-1] - timeline.times[0])
    fitting = [s for s in _STYLES[meter] if STYLES[s].bpm[0] * 0.75 < beat_bpm < STYLES[s].bpm[1] * 1.3]
    style = STYLES[rng.choice(fitting or _STYLES[meter])]
    written = {"melody": rng.choice(_LEADS), "bridge": rng.choice(_LEADS), "piano": rng.choice(_PIANOS)}
    players = [
        Player(
            part,
            program,
            tuple(SoundingNote(n.start, n.end, round(n.midi), 96) for n in tracks.get(part.upper(), ())),
            level=rng.randint(80, 110),
        )
        for part, program in written.items()
    ]
    sounding = in_beats(chords, timeline)
    drums = _in_seconds(_drums(style, timeline.bars, rng), timeline, rng)
    players.append(Player("drums", rng.choice(style.kits), drums, is_drums=True, level=rng.randint(84, 112)))
    bass = _in_seconds(_bass(style, timeline.bars, sounding, rng), timeline, rng)
    players.append(Player("bass", rng.choice(style.bass_programs), bass, level=rng.randint(84, 112)))
    kept = tuple(
        Player(p.name, p.program, tuple(n for n in p.notes if n.start < until), p.is_drums, p.level, p.pan) for p in players if p.notes
    )
    return Band(kept, rng.choice((0, 0, 0, rng.randint(-50, 50))), rng.randrange(3), round(rng.uniform(-9.0, -0.5), 1), until)


def in_beats(chords: Sequence[Span], timeline: Timeline) -> list[Sounding]:
    """The chords along the beats, which they begin on; without those that say there is none."""
    times = timeline.times

    def beat(time: float) -> int:
        return min(range(len(times)), key=lambda index: abs(times[index] - time))

    found = [(beat(span.start), beat(span.end), chord_of(span.label)) for span in chords]
    return [Sounding(start, end, chord, _NO_KEY) for start, end, chord in found if chord is not None and end > start]


def chord_of(label: str) -> Chord | None:
    """A Harte label as a chord; a quality that is not known counts as the triad it begins with. None for N."""
    match = _LABEL.match(label)
    if not match:
        return None
    letter, accidentals, quality, bass_accidentals, bass_degree = match.groups()
    root = _PITCH_CLASSES[letter] + accidentals.count("#") - accidentals.count("b")
    quality = quality or "maj"
    if quality not in QUALITIES:
        quality = next((known for known in ("min", "dim", "aug", "sus4", "sus2") if quality.startswith(known)), "maj")
    bass = 0
    if bass_degree:
        bass = _DEGREES[(int(bass_degree) - 1) % 7] + bass_accidentals.count("#") - bass_accidentals.count("b")
    return Chord(root % 12, quality, bass, label)


def _drums(style: Style, bars: Sequence[Bar], rng: random.Random) -> list[Note]:
    """Eight bars of one pattern, eight of another; fills between them, crashes now and then; they may come in later."""
    patterns = [rng.choice(style.drums), rng.choice(style.drums)]
    enters, has_fills, crash = rng.choice((0, 0, 4, 8)), rng.random() < 0.7, 0.6 * rng.random()
    notes: list[Note] = []
    for number, bar in enumerate(bar for bar in bars if not bar.is_pickup):
        if number < enters:
            continue
        eighth = number // 8
        played = parts.drum_bar(patterns[eighth % 2], bar, style.meter, random.Random(f"{style.bpm}/{eighth % 2}"), loose=style.loose)
        if has_fills and number % 8 == 7:
            beats = min(rng.choice((1, 2)), bar.beats)
            played = [note for note in played if note.start < bar.end - beats] + parts.fill(bar, beats, 2, rng)
        if number % 8 == 0 and rng.random() < crash:
            played.append(Note(bar.start, bar.start + 1, parts.DRUMS["C"], rng.randint(88, 110)))
        notes += played
    return notes


def _bass(style: Style, bars: Sequence[Bar], chords: Sequence[Sounding], rng: random.Random) -> list[Note]:
    """The style's bass under the chords; silent where there is no chord."""
    pattern = rng.choice([p for p in style.bass if p != "walk"])
    enters = rng.choice((0, 0, 4))
    notes: list[Note] = []
    for number, bar in enumerate(bar for bar in bars if not bar.is_pickup):
        if number >= enters and chords:
            played = parts.bass_bar(pattern, bar, style.meter, chords, style.bass_register)
            notes += [n for n in played if any(c.start <= n.start < c.end for c in chords)]
    return notes


def _in_seconds(notes: Sequence[Note], timeline: Timeline, rng: random.Random) -> tuple[SoundingNote, ...]:
    loose_sec = rng.choice((0.0, 0.005, 0.01))
    placed = []
    for note in sorted(notes, key=lambda note: note.start):
        start = max(0.0, timeline.seconds(note.start) + max(-0.03, min(0.03, rng.gauss(0.0, loose_sec))))
        placed.append(
            SoundingNote(
                start, max(timeline.ending(note.end), start + 0.03), note.pitch, max(18, min(127, round(rng.gauss(note.velocity, 5))))
            )
        )
    return tuple(placed)
