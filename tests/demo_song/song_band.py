"""The band of the demo song: drums, bass and chord instruments, written as MIDI and played by FluidSynth.

Each instrument is rendered on its own, so it can be mixed and its delay taken out. Loudness of the single notes
varies by a fixed pseudo-random sequence; their times do not vary, so that the annotations hold.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray
from song_score import BPM, EIGHTHS_PER_BAR, LEAD_IN_SEC, Score, Section

Audio = NDArray[np.float64]

SAMPLE_RATE = 44_100
SOUND_FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
TICKS_PER_BEAT = 9600
TICKS_PER_EIGHTH = TICKS_PER_BEAT // 2
DRUM_CHANNEL = 9
VELOCITY_SPREAD = 6
SEED = 1912

KICK, SIDE_STICK, SNARE, CLOSED_HAT, OPEN_HAT, CRASH, HIGH_TOM, LOW_TOM = 36, 37, 38, 42, 46, 49, 48, 45
DRUM_NAMES = {
    KICK: "kick",
    SIDE_STICK: "side_stick",
    SNARE: "snare",
    CLOSED_HAT: "closed_hat",
    OPEN_HAT: "open_hat",
    CRASH: "crash",
    HIGH_TOM: "high_tom",
    LOW_TOM: "low_tom",
}


@dataclass(frozen=True)
class Note:
    """A note of the band; `start` and `length` are in eighths, `start` from the first bar line of the song."""

    start: float
    length: float
    midi: int
    velocity: int


@dataclass(frozen=True)
class Instrument:
    """A part: its name, its General MIDI programme (0-based) and the notes it plays in a section."""

    name: str
    programme: int
    play: Callable[[Section], Iterator[Note]]
    channel: int = 0


def _drum(start: float, midi: int, velocity: int) -> Note:
    return Note(start, 0.5, midi, velocity)


def _drums(section: Section) -> Iterator[Note]:
    bar_of = {"intro": _light_bar, "verse": _verse_bar, "chorus": _chorus_bar, "outro": _light_bar}[section.label]
    last_chord_bar = section.bars - 1
    for bar in range(section.bars):
        at = bar * EIGHTHS_PER_BAR
        if section.label == "outro" and bar == last_chord_bar:
            yield from (_drum(at, KICK, 100), _drum(at, CRASH, 88))
            continue
        before_chorus = section.label in ("intro", "verse") and bar == last_chord_bar
        if bar == 0 and section.label in ("chorus", "outro"):
            yield _drum(at, CRASH, 104 if section.label == "chorus" else 90)
        if section.label == "chorus" and bar == section.bars // 2:
            yield _drum(at, CRASH, 92)
        yield from bar_of(at, before_chorus)


def _light_bar(at: int, fill: bool) -> Iterator[Note]:
    yield from (_drum(at, KICK, 84), _drum(at + 4, KICK, 72))
    for eighth in range(0, EIGHTHS_PER_BAR, 2):
        yield _drum(at + eighth, CLOSED_HAT, 72 if eighth % 4 == 0 else 60)
    if fill:
        yield from (_drum(at + 6, SIDE_STICK, 78), _drum(at + 7, SIDE_STICK, 84))


def _verse_bar(at: int, fill: bool) -> Iterator[Note]:
    yield from (_drum(at, KICK, 96), _drum(at + 4, KICK, 84), _drum(at + 5, KICK, 70))
    yield from (_drum(at + 2, SIDE_STICK, 84), _drum(at + 6, SIDE_STICK, 88))
    for eighth in range(EIGHTHS_PER_BAR):
        yield _drum(at + eighth, CLOSED_HAT, 66 if eighth % 2 == 0 else 46)
    if fill:
        hits = ((5, SNARE), (6, HIGH_TOM), (6.5, HIGH_TOM), (7, LOW_TOM), (7.5, SNARE))
        yield from (_drum(at + place, drum, 84 + 4 * n) for n, (place, drum) in enumerate(hits))


def _chorus_bar(at: int, _fill: bool) -> Iterator[Note]:
    yield from (_drum(at + place, KICK, level) for place, level in ((0, 110), (3, 88), (4, 104), (7, 80)))
    yield from (_drum(at + 2, SNARE, 106), _drum(at + 6, SNARE, 110))
    for eighth in range(EIGHTHS_PER_BAR - 1):
        yield _drum(at + eighth, CLOSED_HAT, 86 if eighth % 2 == 0 else 66)
    yield _drum(at + 7, OPEN_HAT, 76)


def _bass(section: Section) -> Iterator[Note]:
    for chord in section.chords:
        if section.label == "chorus":
            for eighth in range(chord.length):
                yield Note(chord.start + eighth, 0.9, chord.bass, 100 if eighth % 4 == 0 else 84)
        elif section.label == "verse":
            yield Note(chord.start, 2.9, chord.bass, 96)
            yield Note(chord.start + 3, 0.9, chord.bass, 76)
            yield Note(chord.start + 4, chord.length - 4.2, chord.bass, 88)
        else:
            yield Note(chord.start, chord.length - 0.2, chord.bass, 90)


def _piano(section: Section) -> Iterator[Note]:
    for chord in section.chords:
        low = chord.voicing[0]
        if section.label == "chorus" or _final(section, chord.start):
            hold = chord.length if _final(section, chord.start) else 2
            for beat in range(0, chord.length, hold):
                for midi in chord.voicing:
                    yield Note(chord.start + beat, hold - 0.1, midi, 84 if beat % 4 == 0 else 74)
            continue
        for midi in chord.voicing:
            yield Note(chord.start, 1.9, midi, 72)
        rising = (*chord.voicing[1:], chord.voicing[-1])
        for eighth in range(2, chord.length):
            midi = low if eighth % 4 == 0 else rising[eighth % len(rising)]
            yield Note(chord.start + eighth, 1.9, midi, 66 if eighth % 2 == 0 else 56)


def _guitar(section: Section) -> Iterator[Note]:
    if section.label != "chorus":
        return
    for chord in section.chords:
        for place, level in ((0, 84), (2, 76), (3, 66), (5, 70), (6, 78), (7, 64)):
            if place < chord.length:
                for midi in chord.voicing:
                    yield Note(chord.start + place, 0.95, midi + 12 if midi < 60 else midi, level)


def _pad(section: Section) -> Iterator[Note]:
    level = {"intro": 62, "verse": 58, "chorus": 84, "outro": 70}[section.label]
    for chord in section.chords:
        for midi in chord.voicing:
            yield Note(chord.start, chord.length - 0.05, midi, level)


def _final(section: Section, start: int) -> bool:
    return section.label == "outro" and start >= (section.bars - 2) * EIGHTHS_PER_BAR


ACOUSTIC_PIANO, STEEL_GUITAR, FINGER_BASS, STRINGS = 0, 25, 33, 48
DRUMS = Instrument("drums", 0, _drums, DRUM_CHANNEL)
BASS = Instrument("bass", FINGER_BASS, _bass)
PIANO = Instrument("piano", ACOUSTIC_PIANO, _piano)
GUITAR = Instrument("guitar", STEEL_GUITAR, _guitar)
PAD = Instrument("pad", STRINGS, _pad)
INSTRUMENTS = (DRUMS, BASS, PIANO, GUITAR, PAD)


def part(score: Score, instrument: Instrument) -> list[Note]:
    """Every note an instrument plays in the song, in order, with its final loudness."""
    chance = random.Random(f"{SEED} {instrument.name}")
    notes = []
    for section in score.sections:
        offset = score.section_eighth(section)
        for note in instrument.play(section):
            velocity = min(127, note.velocity + chance.randint(-VELOCITY_SPREAD, VELOCITY_SPREAD))
            notes.append(Note(offset + note.start, note.length, note.midi, velocity))
    return sorted(notes, key=lambda note: (note.start, note.midi))


def render(score: Score, instrument: Instrument) -> Audio:
    """Play a part with FluidSynth. Return stereo samples, shaped (samples, 2), as long as the song."""
    with tempfile.TemporaryDirectory() as folder:
        midi_path, wave_path = Path(folder, "part.mid"), Path(folder, "part.wav")
        _midi_file(part(score, instrument), instrument).save(midi_path)
        command = ["fluidsynth", "-ni", "-q", "-g", "0.5", "-r", str(SAMPLE_RATE), "-O", "float", "-T", "wav"]
        command += ["-o", "synth.reverb.active=0", "-o", "synth.chorus.active=0", "-F", str(wave_path)]
        subprocess.run([*command, str(SOUND_FONT), str(midi_path)], check=True, capture_output=True)
        played, rate = soundfile.read(wave_path, dtype="float64", always_2d=True)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"FluidSynth wrote {rate} Hz, not {SAMPLE_RATE} Hz")
    samples = np.zeros((round(score.duration * SAMPLE_RATE), 2))
    length = min(len(samples), len(played))
    samples[:length] = played[:length]
    return samples


def _midi_file(notes: list[Note], instrument: Instrument) -> mido.MidiFile:
    lead_in = LEAD_IN_SEC * BPM / 60.0 * TICKS_PER_BEAT
    events: list[tuple[int, int, mido.Message]] = []
    for note in notes:
        begin = round(lead_in + note.start * TICKS_PER_EIGHTH)
        end = round(lead_in + (note.start + note.length) * TICKS_PER_EIGHTH)
        message = mido.Message("note_on", channel=instrument.channel, note=note.midi, velocity=note.velocity)
        events.append((begin, 1, message))
        events.append((end, 0, mido.Message("note_off", channel=instrument.channel, note=note.midi)))
    events.sort(key=lambda event: event[:2])
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(60_000_000 / BPM))])
    track.append(mido.Message("program_change", channel=instrument.channel, program=instrument.programme))
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    return mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT, tracks=[track])
