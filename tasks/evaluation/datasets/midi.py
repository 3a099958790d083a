"""General MIDI songs whose beats and bars are in the file, rendered here; the first minute and a half of each.

    <package>/*.mid, *.midi     one song a file
    <package>/*.wad             Doom's archives: every lump that is a MIDI file

Free ones are in Debian: openttd-openmsx, freedoom, freedm, planetblupi-music-midi. None is part of this repository.

A file is believed where its notes bear it out: they lie on its grid, what begins on its first beats lasts longest, and the snare fits.
The others are left out. Songs with as many ticks in a beat mostly come from one composer's program; they stay on one side of the split.
"""

from __future__ import annotations

import hashlib
import io
import struct
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import mido

from tasks.evaluation.annotations import AnnotatedSong, Annotations
from tasks.evaluation.datasets.reading import tempo_of
from tasks.evaluation.datasets.synth import font_folder, render_file
from tasks.evaluation.split import split_of

LONGEST_SEC: Final = 90.0
_SHORTEST_SEC: Final = 25.0
_SLOWEST_BPM, _FASTEST_BPM = 45.0, 230.0
_DRUM_CHANNEL: Final = 9
_KICKS, _SNARES, _CRASHES = (35, 36), (38, 39, 40), (49, 57)
_FEW_STROKES: Final = 16
_HALF_TIME_BPM: Final = 125.0
_LOW: Final = 52
_FEW_NOTES: Final = 50
#: A sixteenth or a triplet is met within this part of a beat; of notes anywhere, 38 % would.
_GRID_BEATS: Final = 0.035
_ON_GRID: Final = 0.8
_ON_BEAT: Final = 0.2
#: First beats must weigh so much more than any other beat of the bar.
_BAR_WEIGHT: Final = 1.1


_Event = tuple[int, mido.Message | mido.MetaMessage]


@dataclass(frozen=True)
class _Note:
    """start: ticks. beats: how long it lasts, in quarters."""

    start: int
    beats: float
    pitch: int
    is_drum: bool


@dataclass(frozen=True)
class Score:
    """What a MIDI file says of time. beats, downbeats: seconds. meters: beats in a bar, in order."""

    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    meters: tuple[int, ...]
    bars: tuple[tuple[int, ...], ...]
    """Ticks of the beats of each bar."""


def load(folder: Path, rendered: Path) -> list[AnnotatedSong]:
    songs = []
    seen: set[str] = set()
    for package, name, data in midi_files(folder):
        digest = hashlib.sha256(data).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            file = mido.MidiFile(file=io.BytesIO(data), clip=True)
            score = trusted_score(file)
        except (OSError, EOFError, ValueError, KeyError, IndexError):  # a broken file
            continue
        if score is None:
            continue
        meter = Counter(score.meters).most_common(1)[0][0]
        truth = Annotations(score.beats, score.downbeats, meter, tempo_of(score.beats), words=())
        audio = partial(_render, data, rendered / package / f"{name}.flac", font_folder(folder))
        songs.append(AnnotatedSong("midi", f"{package}/{name}", audio, truth, split_of("midi", f"{file.ticks_per_beat} ticks"), package))
    return songs


def midi_files(folder: Path) -> Iterator[tuple[str, str, bytes]]:
    """(package, name, contents) of every MIDI file below a folder, in a fixed order."""
    for path in sorted(folder.rglob("*")):
        package = path.relative_to(folder).parts[0]
        if path.suffix.lower() in (".mid", ".midi"):
            yield package, path.stem, path.read_bytes()
        elif path.suffix.lower() == ".wad":
            yield from ((package, f"{path.stem}_{lump}", data) for lump, data in lumps(path.read_bytes()) if data.startswith(b"MThd"))


def lumps(wad: bytes) -> Iterator[tuple[str, bytes]]:
    """The named parts of one of Doom's archives."""
    count, directory = struct.unpack("<ii", wad[4:12])
    for entry in range(directory, directory + 16 * count, 16):
        start, size, name = struct.unpack("<ii8s", wad[entry : entry + 16])
        yield name.rstrip(b"\0").decode("ascii", "replace"), wad[start : start + size]


def trusted_score(file: mido.MidiFile) -> Score | None:
    """The beats and bars of a file up to LONGEST_SEC, or None where its notes do not bear them out."""
    events = _events(file)
    notes = _notes(events, file.ticks_per_beat)
    if len(notes) < _FEW_NOTES or file.type == 2:
        return None
    seconds = _Clock(events, file.ticks_per_beat)
    bars = [bar for bar in _bars(events, file.ticks_per_beat, notes[-1].start) if seconds.at(bar[0]) < LONGEST_SEC]
    if len(bars) < 8 or not _on_grid(notes, file.ticks_per_beat) or not _bars_begin_heavily(notes, bars):
        return None
    first, last = notes[0].start, notes[-1].start
    slack = file.ticks_per_beat // 4
    heard = [[tick for tick in bar if first - slack <= tick <= last + slack and seconds.at(tick) < LONGEST_SEC] for bar in bars]
    beats = tuple(round(seconds.at(tick), 4) for bar in heard for tick in bar)
    downbeats = tuple(round(seconds.at(bar[0]), 4) for bar, kept in zip(bars, heard, strict=True) if bar[0] in kept)
    bpm = tempo_of(beats)
    if bpm is None or not _SLOWEST_BPM <= bpm <= _FASTEST_BPM or beats[-1] - beats[0] < _SHORTEST_SEC or not _snare_fits(notes, bars, bpm):
        return None
    return Score(beats, downbeats, tuple(len(bar) for bar in bars), tuple(bars))


class _Clock:
    """Ticks to seconds along all of a file's tempi."""

    def __init__(self, events: Sequence[_Event], ticks_per_beat: int):
        self._ticks_per_beat = ticks_per_beat
        self._starts, self._marks = [0], [(0.0, 500_000)]
        for tick, message in events:
            if message.type == "set_tempo":
                seconds = self.at(tick)
                self._starts.append(tick)
                self._marks.append((seconds, message.tempo))

    def at(self, tick: int) -> float:
        mark = bisect_right(self._starts, tick) - 1
        start, (seconds, tempo) = self._starts[mark], self._marks[mark]
        return seconds + (tick - start) * tempo / 1e6 / self._ticks_per_beat


def _events(file: mido.MidiFile) -> list[_Event]:
    """Notes, tempi and time signatures of all tracks by ticks from the beginning."""
    events: list[_Event] = []
    for track in file.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type in ("note_on", "note_off", "set_tempo", "time_signature"):
                events.append((now, message))
    return sorted(events, key=lambda event: event[0])


def _notes(events: Sequence[_Event], ticks_per_beat: int) -> list[_Note]:
    notes: list[_Note] = []
    sounding: dict[tuple[int, int], int] = {}
    for tick, message in events:
        if message.type not in ("note_on", "note_off"):
            continue
        place = (message.channel, message.note)
        started = sounding.pop(place, None)
        if started is not None:
            notes.append(_Note(started, (tick - started) / ticks_per_beat, message.note, message.channel == _DRUM_CHANNEL))
        if message.type == "note_on" and message.velocity:
            sounding[place] = tick
    return sorted(notes, key=lambda note: note.start)


def _bars(events: Sequence[_Event], ticks_per_beat: int, until: int) -> Iterator[tuple[int, ...]]:
    """Ticks of the beats of every bar: quarters in 4/4, dotted quarters in 6/8, 9/8 and 12/8, eighths in 7/8.

    Without a time signature a file is in 4/4.
    """
    changes = sorted({tick: (m.numerator, m.denominator) for tick, m in events if m.type == "time_signature"}.items())
    numerator, denominator = 4, 4
    now = 0
    while now <= until:
        while changes and changes[0][0] <= now:
            numerator, denominator = changes.pop(0)[1]
        unit = ticks_per_beat * 4 // denominator
        per_beat = 3 if denominator == 8 and numerator % 3 == 0 and numerator > 3 else 1
        yield tuple(range(now, now + unit * numerator, unit * per_beat))
        now += unit * numerator


def _on_grid(notes: Sequence[_Note], ticks_per_beat: int) -> bool:
    """Whether most notes begin on a sixteenth or a triplet, and enough of them on a beat."""
    phases = [note.start / ticks_per_beat % 1.0 for note in notes]

    def share(places: Sequence[float]) -> float:
        return sum(any(abs((phase - place + 0.5) % 1.0 - 0.5) <= _GRID_BEATS for place in places) for phase in phases) / len(phases)

    return share((0, 0.25, 0.5, 0.75, 1 / 3, 2 / 3)) >= _ON_GRID and share((0,)) >= _ON_BEAT


def _bars_begin_heavily(notes: Sequence[_Note], bars: Sequence[tuple[int, ...]]) -> bool:
    """Whether what starts on the bars' first beats weighs more than what starts on any other: long notes, low ones, kicks and crashes."""
    weight: dict[int, float] = defaultdict(float)
    for note in notes:
        low = 2.0 if note.pitch < _LOW else 1.0
        drum = 0.5 if note.pitch in _KICKS else 2.0 if note.pitch in _CRASHES else 0.0
        weight[note.start] += drum if note.is_drum else low * min(note.beats, 4.0)
    starts = sorted(weight)
    positions: dict[int, float] = defaultdict(float)
    for bar in bars:
        near = (bar[1] - bar[0]) // 12 if len(bar) > 1 else 1
        for position, tick in enumerate(bar):
            positions[position] += sum(weight[t] for t in starts[bisect_left(starts, tick - near) : bisect_right(starts, tick + near)])
    others = [value for position, value in positions.items() if position]
    return bool(others) and positions[0] >= _BAR_WEIGHT * max(others)


def _snare_fits(notes: Sequence[_Note], bars: Sequence[tuple[int, ...]], bpm: float) -> bool:
    """Whether the snare leaves the written beat and bar believable.

    Mostly between the beats: a fast song written at half its tempo. Mostly on the third beat at a high tempo: one written at twice.
    Mostly on the
    first: a bar that begins elsewhere.
    """
    strokes = sorted(note.start for note in notes if note.is_drum and note.pitch in _SNARES)
    places: Counter[float] = Counter()
    for bar in bars:
        step = bar[1] - bar[0] if len(bar) > 1 else 1
        for position, tick in enumerate(bar):
            for half in (0.0, 0.5):
                at = tick + round(half * step)
                places[position + half] += bisect_right(strokes, at + step // 10) - bisect_left(strokes, at - step // 10)
    total = sum(places.values())
    if total < _FEW_STROKES:
        return True
    between = sum(count for place, count in places.items() if place % 1) / total
    half_time = len(bars[0]) == 4 and bpm > _HALF_TIME_BPM and places[2] >= 0.5 * total
    return between < 0.5 and not half_time and places[0] < 0.35 * total


def _render(data: bytes, target: Path, fonts: Path) -> Path:
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    font = hashlib.sha256(data).digest()[0]
    return render_file(_beginning(file), target, font, LONGEST_SEC, fonts=fonts)


def _beginning(file: mido.MidiFile) -> mido.MidiFile:
    """The same file without what comes after LONGEST_SEC."""
    seconds = _Clock(_events(file), file.ticks_per_beat)
    kept = mido.MidiTrack()
    now = 0
    for message in mido.merge_tracks(file.tracks):
        now += message.time
        if seconds.at(now) > LONGEST_SEC:
            break
        kept.append(message)
    return mido.MidiFile(type=0, ticks_per_beat=file.ticks_per_beat, tracks=[kept])
