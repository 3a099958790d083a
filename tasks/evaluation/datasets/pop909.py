"""POP909 (Wang et al., ISMIR 2020): piano arrangements of pop songs as MIDI, rendered here; phrases by Dai et al. (2020).

    midi/NNN/NNN.mid            tracks MELODY, BRIDGE, PIANO
    midi/NNN/beat_midi.txt      time, flag of every second (or third) beat, flag of every fourth (or sixth)
    midi/NNN/chord_midi.txt     start, end, Harte label; extracted from the notes, not by people
    midi/NNN/key_audio.txt      start, end, such as Gb:maj; times of another recording, to within a beat
    structure/NNN.lab           start, end, phrase letter and length: which phrases repeat each other

Rendered with FluidSynth and a General MIDI sound font (Debian: fluidsynth, fluid-soundfont-gm). `NNN solo` is the MELODY track alone;
`NNN band` the first minute and a half with drums, bass and other instruments than a piano (arranged.py).

The bars: in 4/4 the fourth beats' flags are the downbeats, in 3/4 the third beats' (the other column then counts two bars). They are not
always right, and believed where what people wrote agrees: the phrases begin on them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import mido

from tasks.evaluation.annotations import AnnotatedSong, Annotations, Span, TrueNote
from tasks.evaluation.datasets.arranged import arranged
from tasks.evaluation.datasets.made.timeline import Bar, Timeline
from tasks.evaluation.datasets.reading import columns, cut, spans, tempo_of
from tasks.evaluation.datasets.synth import font_folder, only_tracks, render, render_midi
from tasks.evaluation.split import split_of

#: Every how manieth song has its melody rendered alone, too.
_SOLO_EVERY = 10
_BAND_SEC = 90.0
#: Share of the phrases that must begin on a downbeat: of 60 songs 49 have so many.
_PHRASES_ON_DOWNBEATS = 0.8


@dataclass(frozen=True)
class Bars:
    """Which beats begin a bar. trusted: whether the phrases do, too."""

    beats: tuple[float, ...]
    downbeats: tuple[int, ...]
    meter: int
    trusted: bool

    def timeline(self) -> Timeline:
        """The beats and bars, for a band to play along; what comes before the first downbeat is a pickup."""
        last = len(self.beats) - 1
        starts = [index for index in self.downbeats if index < last]
        bars = [Bar(0, starts[0], is_pickup=True)] if starts[0] else []
        bars += [Bar(start, end - start) for start, end in zip(starts, [*starts[1:], last], strict=True)]
        return Timeline(tuple(bars), self.beats)


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    songs = []
    for number, place in enumerate(sorted((folder / "midi").iterdir())):
        midi = place / f"{place.name}.mid"
        bars = bars_of(place / "beat_midi.txt", folder / "structure" / f"{place.name}.lab")
        truth = _truth(folder, midi, bars)
        songs.append(_song(midi.stem, partial(render_midi, midi, rendered / f"{midi.stem}.wav"), truth))
        if number % _SOLO_EVERY == 0:
            solo = Annotations(melody=notes_of(midi, "MELODY"), words=())
            songs.append(_song(f"{midi.stem} solo", partial(render_midi, midi, rendered / f"{midi.stem} solo.wav", ("MELODY",)), solo))
        if bars.trusted:
            songs.append(
                _song(
                    f"{midi.stem} band",
                    partial(_band, midi, bars, rendered / f"{midi.stem} band.flac", font_folder(folder)),
                    cut(truth, _BAND_SEC),
                )
            )
    return songs


def bars_of(beats: Path, phrases: Path) -> Bars:
    """The bars of a beat_midi.txt, and whether a file of phrases agrees with them."""
    rows = [[float(value) for value in row] for row in columns(beats)]
    twos, fours = ([index for index, row in enumerate(rows) if row[column]] for column in (1, 2))
    distances = Counter(after - before for before, after in pairwise(twos))
    in_three = bool(distances) and distances.most_common(1)[0][0] == 3
    times = tuple(row[0] for row in rows)
    starts = tuple(twos if in_three else fours)
    return Bars(times, starts, 3 if in_three else 4, _agree(times, starts, [s.start for s in spans(phrases)] if phrases.exists() else []))


def _agree(beats: Sequence[float], downbeats: Sequence[int], phrases: Sequence[float]) -> bool:
    nearest = [min(range(len(beats)), key=lambda index: abs(beats[index] - phrase)) for phrase in phrases]
    right = sum(
        bool(downbeats[: bisect_right(downbeats, beat)]) and downbeats[bisect_right(downbeats, beat) - 1] == beat for beat in nearest
    )
    return bool(phrases) and right >= _PHRASES_ON_DOWNBEATS * len(phrases)


def notes_of(midi: Path, track: str) -> tuple[TrueNote, ...]:
    """The notes of a named track."""
    notes: list[TrueNote] = []
    sounding: dict[int, float] = {}
    now = 0.0
    for message in only_tracks(mido.MidiFile(midi), (track,)):
        now += message.time
        if message.type in ("note_on", "note_off"):
            started = sounding.pop(message.note, None)
            if started is not None and now > started:
                notes.append(TrueNote(started, now, float(message.note)))
            if message.type == "note_on" and message.velocity:
                sounding[message.note] = now
    return tuple(sorted(notes, key=lambda note: (note.start, note.midi)))


def _song(name: str, audio: Callable[[], Path], truth: Annotations) -> AnnotatedSong:
    number, *kind = name.split()
    return AnnotatedSong("pop909", name, audio, truth, split_of("pop909", number), " ".join(kind) or "piano")


def _truth(folder: Path, midi: Path, bars: Bars) -> Annotations:
    phrases = folder / "structure" / f"{midi.stem}.lab"
    return Annotations(
        beats=bars.beats,
        downbeats=tuple(bars.beats[index] for index in bars.downbeats) if bars.trusted else None,
        meter=bars.meter if bars.trusted else None,
        tempo_bpm=tempo_of(bars.beats),
        keys=tuple(_key(*row) for row in columns(midi.parent / "key_audio.txt")),
        chords=spans(midi.parent / "chord_midi.txt"),
        sections=tuple(Span(s.start, s.end, s.label[0]) for s in spans(phrases)) if phrases.exists() else None,
        section_labels="letters",
    )


def _band(midi: Path, bars: Bars, target: Path, fonts: Path) -> Path:
    tracks = {name: notes_of(midi, name) for name in ("MELODY", "BRIDGE", "PIANO")}
    chords = spans(midi.parent / "chord_midi.txt")
    return render(arranged(midi.stem, tracks, bars.timeline(), chords, bars.meter, _BAND_SEC), target, fonts)


def _key(start: str, end: str, label: str) -> Span:
    tonic, mode = label.split(":")
    return Span(float(start), float(end), f"{tonic} {'major' if mode == 'maj' else 'minor'}")
