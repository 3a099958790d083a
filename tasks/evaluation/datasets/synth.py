"""Bands in seconds, as MIDI files and as sound: FluidSynth with a General MIDI sound font, louder and softer, in any tuning."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mido
import numpy as np
import soundfile

from tasks.common.errors import EvaluationDataUnusable
from tasks.common.storage.atomic import whole

SAMPLE_RATE: Final = 44100
_FOLDERS: Final = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")
#: Fonts in the order in which songs number them; Debian: fluid-soundfont-gm, timgm6mb-soundfont, musescore-general-soundfont-small.
_FONTS: Final = (("FluidR3_GM.sf2",), ("TimGM6mb.sf2",), ("MuseScore_General_Lite.sf3", "MuseScore_General.sf3"))
_TICKS, _TEMPO = 1000, 500_000
_TICK_SEC: Final = _TEMPO / 1e6 / _TICKS
_DRUM_CHANNEL: Final = 9


@dataclass(frozen=True)
class SoundingNote:
    """start, end: seconds. pitch: MIDI note number, or that of a drum."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Player:
    """program, level (0–127) and pan (64 is the middle) as in General MIDI."""

    name: str
    program: int
    notes: tuple[SoundingNote, ...]
    is_drums: bool = False
    level: int = 100
    pan: int = 64


@dataclass(frozen=True)
class Band:
    """cents: tuning of everybody but the drums. font: number of a sound font. peak_db: of the loudest sample. length: seconds; 0: while
    it sounds."""

    players: tuple[Player, ...]
    cents: int = 0
    font: int = 0
    peak_db: float = -3.0
    length: float = 0.0


def as_midi(band: Band) -> mido.MidiFile:
    """A MIDI file whose ticks are half milliseconds: its times are the truth's to within a quarter of one."""
    file = mido.MidiFile(type=1, ticks_per_beat=_TICKS)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=_TEMPO)]))
    pitched = 0
    for player in band.players:
        channel = _DRUM_CHANNEL
        if not player.is_drums:
            channel = pitched if pitched < _DRUM_CHANNEL else pitched + 1
            pitched += 1
        file.tracks.append(_track(player, channel, 0 if player.is_drums else band.cents))
    return file


def font_folder(dataset: Path) -> Path:
    """Where sound fonts may lie beside the folders of the data sets."""
    return dataset.parent / "soundfonts"


def render(band: Band, target: Path, fonts: Path | None = None) -> Path:
    """The band as a FLAC file, made once. fonts: a folder with sound fonts beside the system's. Raises as render_file does."""
    return render_file(as_midi(band), target, band.font, band.length, band.peak_db, fonts)


def render_file(
    file: mido.MidiFile, target: Path, font: int, length: float = 0.0, peak_db: float = -3.0, fonts: Path | None = None
) -> Path:
    """A MIDI file as a FLAC file, made once for each sound font, whose name its folder has; length, peak and font as in Band.

    Raises EvaluationDataUnusable where FluidSynth or every sound font is missing.
    """
    font_path = font_file(font, fonts)
    target = target.parent / font_path.stem / target.name
    if not target.exists():
        with whole(target) as temporary:
            sound = synthesised(file, temporary.with_suffix(""), font_path)
            if length:
                sound = sound[: round(length * SAMPLE_RATE)]
            peak = float(np.max(np.abs(sound))) if len(sound) else 0.0
            if peak:
                sound = sound * (10 ** (peak_db / 20) / peak)
            soundfile.write(temporary, sound, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return target


def render_midi(midi: Path, target: Path, tracks: tuple[str, ...] | None = None) -> Path:
    """A MIDI file as it is, or its named tracks alone, as a WAV file made once with the first sound font there is. Raises as render
    does."""
    if not target.exists():
        with whole(target) as sound:
            samples = synthesised(only_tracks(mido.MidiFile(midi), tracks), sound.with_suffix(""), font_file(0))
            soundfile.write(sound, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return target


def only_tracks(file: mido.MidiFile, names: tuple[str, ...] | None) -> mido.MidiFile:
    """The same song with the named tracks only, and those without notes, which hold the tempo."""
    if names is not None:
        file.tracks[:] = [track for track in file.tracks if track.name in names or all(m.type != "note_on" for m in track)]
    return file


def font_file(number: int, fonts: Path | None = None) -> Path:
    """The sound font of a number; where that is missing, the first there is."""
    folders = [*([fonts] if fonts else []), *map(Path, _FOLDERS)]
    ordered = (_FONTS[number % len(_FONTS)], *_FONTS)
    for names in ordered:
        for folder in folders:
            for name in names:
                if (folder / name).exists():
                    return folder / name
    raise EvaluationDataUnusable("A General MIDI sound font is missing, so that nothing can be rendered")


def synthesised(midi: mido.MidiFile, scratch: Path, font: Path) -> np.ndarray:
    """The samples of a MIDI file, (n, 2) float32. scratch: a name for files that are removed again."""
    program = shutil.which("fluidsynth")
    if program is None:
        raise EvaluationDataUnusable("FluidSynth is missing, so that nothing can be rendered")
    notes, sound = scratch.with_suffix(".mid"), scratch.with_suffix(".raw.wav")
    try:
        released(midi).save(notes)
        command = [
            program,
            "-ni",
            "-g",
            "0.35",
            "-r",
            str(SAMPLE_RATE),
            "-o",
            "synth.dynamic-sample-loading=1",
            "-O",
            "float",
            "-T",
            "wav",
            "-F",
            str(sound),
            str(font),
            str(notes),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not sound.exists():
            raise EvaluationDataUnusable(f"FluidSynth cannot render {scratch.name}: {done.stderr.strip()[-200:]}")
        samples, _ = soundfile.read(sound, always_2d=True, dtype="float32")
    finally:
        notes.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)
    return np.asarray(samples)


def released(file: mido.MidiFile) -> mido.MidiFile:
    """The same file with every note and pedal released, if only at the end of its track: FluidSynth writes on, without end, while an
    organ sounds."""
    for track in file.tracks:
        held: dict[tuple[int, int], None] = {}
        channels: dict[int, None] = {}
        for message in track:
            if message.type in ("note_on", "note_off"):
                place = (message.channel, message.note)
                channels[message.channel] = None
                if message.type == "note_on" and message.velocity:
                    held[place] = None
                else:
                    held.pop(place, None)
        if track and track[-1].type == "end_of_track":
            track.pop()
        track.extend(mido.Message("note_off", channel=channel, note=note) for channel, note in held)
        track.extend(mido.Message("control_change", channel=channel, control=64, value=0) for channel in channels)
    return file


def _track(player: Player, channel: int, cents: int) -> mido.MidiTrack:
    events: list[tuple[int, int, mido.Message]] = [
        (0, 0, mido.Message("program_change", channel=channel, program=player.program)),
        (0, 0, mido.Message("control_change", channel=channel, control=7, value=player.level)),
        (0, 0, mido.Message("control_change", channel=channel, control=10, value=player.pan)),
    ]
    if cents:
        events.append((0, 0, mido.Message("pitchwheel", channel=channel, pitch=round(cents / 200 * 8192))))
    for note in _without_overlaps(player.notes):
        start = round(note.start / _TICK_SEC)
        end = max(start + 1, round(note.end / _TICK_SEC))
        events.append((start, 2, mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)))
        events.append((end, 1, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    events.sort(key=lambda event: event[:2])
    track = mido.MidiTrack([mido.MetaMessage("track_name", name=player.name)])
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    return track


def _without_overlaps(notes: Sequence[SoundingNote]) -> list[SoundingNote]:
    """A note of the same pitch ends where the next begins: one key cannot be pressed twice."""
    kept: list[SoundingNote] = []
    latest: dict[int, int] = {}
    for note in sorted(notes, key=lambda note: note.start):
        before = latest.get(note.pitch)
        if before is not None and kept[before].end > note.start:
            old = kept[before]
            kept[before] = SoundingNote(old.start, note.start, old.pitch, old.velocity)
        latest[note.pitch] = len(kept)
        kept.append(note)
    return kept
