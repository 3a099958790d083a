"""POP909 (Wang et al., ISMIR 2020): piano arrangements of pop songs as MIDI, rendered here; phrases by Dai et al. (2020).

    midi/NNN/NNN.mid            tracks MELODY, BRIDGE, PIANO
    midi/NNN/beat_midi.txt      time, …
    midi/NNN/chord_midi.txt     start, end, Harte label; extracted from the notes, not by people
    midi/NNN/key_audio.txt      start, end, such as Gb:maj; times of another recording, to within a beat
    structure/NNN.lab           start, end, phrase letter and length: which phrases repeat each other

Rendered with FluidSynth and a General MIDI sound font (Debian: fluidsynth, fluid-soundfont-gm). `NNN solo` is the MELODY track alone.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

import mido

from tasks.common.errors import EvaluationDataUnusable
from tasks.common.storage.atomic import whole
from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span, TrueNote
from tasks.evaluation.datasets.reading import beats_and_positions, columns, spans, tempo_of

_SOUND_FONTS = ("/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/soundfonts/FluidR3_GM.sf2")
#: Every how manieth song has its melody rendered alone, too.
_SOLO_EVERY = 10


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for number, place in enumerate(sorted((folder / "midi").iterdir())):
        midi = place / f"{place.name}.mid"
        songs.append(_song(folder, midi, rendered))
        if number % _SOLO_EVERY == 0:
            truth = Annotations(melody=melody(midi), words=())
            audio = partial(_render, midi, rendered / f"{midi.stem} solo.wav", ("MELODY",))
            songs.append(AnnotatedSong("pop909", f"{midi.stem} solo", audio, truth))
    return songs


def melody(midi: Path) -> tuple[TrueNote, ...]:
    """The notes of the MELODY track."""
    notes: list[TrueNote] = []
    sounding: dict[int, float] = {}
    now = 0.0
    for message in _only(mido.MidiFile(midi), ("MELODY",)):
        now += message.time
        if message.type in ("note_on", "note_off"):
            started = sounding.pop(message.note, None)
            if started is not None and now > started:
                notes.append(TrueNote(started, now, float(message.note)))
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = now
    return tuple(sorted(notes, key=lambda note: (note.start, note.midi)))


def _song(folder: Path, midi: Path, rendered: Path) -> AnnotatedSong:
    beats, _ = beats_and_positions(midi.parent / "beat_midi.txt")
    phrases = folder / "structure" / f"{midi.stem}.lab"
    return AnnotatedSong(
        "pop909",
        midi.stem,
        partial(_render, midi, rendered / f"{midi.stem}.wav", None),
        Annotations(
            beats=beats,
            tempo_bpm=tempo_of(beats),
            keys=tuple(_key(*row) for row in columns(midi.parent / "key_audio.txt")),
            chords=spans(midi.parent / "chord_midi.txt"),
            sections=tuple(Span(s.start, s.end, s.label[0]) for s in spans(phrases)) if phrases.exists() else None,
            section_labels="letters",
        ),
    )


def _key(start: str, end: str, label: str) -> Span:
    tonic, mode = label.split(":")
    return Span(float(start), float(end), f"{tonic} {'major' if mode == 'maj' else 'minor'}")


def _only(file: mido.MidiFile, names: tuple[str, ...] | None) -> mido.MidiFile:
    """The same song with the named tracks only, and those without notes, which hold the tempo."""
    if names is not None:
        file.tracks[:] = [track for track in file.tracks if track.name in names or all(m.type != "note_on" for m in track)]
    return file


def _render(midi: Path, target: Path, tracks: tuple[str, ...] | None) -> Path:
    """Raises EvaluationDataUnusable where FluidSynth or the sound font is missing."""
    if target.exists():
        return target
    font = next((font for font in _SOUND_FONTS if Path(font).exists()), None)
    program = shutil.which("fluidsynth")
    if font is None or program is None:
        raise EvaluationDataUnusable("FluidSynth or its sound font is missing, so that POP909 cannot be rendered")
    with whole(target) as sound:
        notes = sound.with_suffix(".mid")
        try:
            _only(mido.MidiFile(midi), tracks).save(notes)
            command = [program, "-ni", "-g", "0.6", "-r", "44100", "-T", "wav", "-F", str(sound), font, str(notes)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            notes.unlink(missing_ok=True)
        if done.returncode or not sound.exists():
            raise EvaluationDataUnusable(f"FluidSynth cannot render {midi}: {done.stderr.strip()[-200:]}")
    return target
