"""A sonification: the chords, the bass and the melody of a map, played by plain tones over the song, so that the ear checks the map.

A chord sounds as the pitch classes of its label, in close position from A3 on; below it sounds its bass, the label's if it names one, else
the root, from E2 on. The notes of the melody are a brighter tone, at their own pitch. All are tuned as the song is, by the median of what
its notes depart from A440. The tones are as loud as the song, by their power over its whole length, and louder or quieter by the level
asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from schemas.song_map import SongMap
from tasks.common.audio import SAMPLE_RATE
from tasks.common.audio_forms import Samples
from tasks.common.errors import ExportNothingToWrite
from tasks.common.harmony import harte, spelling
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sound import BLOCK_FRAMES, song_blocks, sound_file, told_if_damaged

#: MIDI note numbers from which an octave up chords and their basses lie: A3, E2.
_CHORDS_FROM: Final = 57
_BASS_FROM: Final = 40
#: Amplitudes of the partials of each part; the first factor is its level.
_TIMBRES: Final = {
    "chords": (0.1, (1.0, 0.35, 0.12, 0.06)),
    "bass": (0.2, (1.0, 0.5, 0.3, 0.15)),
    "melody": (0.25, (1.0, 0.7, 0.5, 0.35, 0.2, 0.1)),
}
_ATTACK_SEC: Final = 0.008
_RELEASE_SEC: Final = 0.025
_TABLE: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class Tone:
    """start, end: samples of the song. midi: pitch, a float. part: of `_TIMBRES`."""

    start: int
    end: int
    midi: float
    part: str


def write(song: Song, options: ExportOptions) -> bytes:
    """The song with its tones, in stereo. Raises ExportNothingToWrite where it has neither chords nor notes, ExportNeedsSound."""
    tones = tones_of(song.map)
    if not tones:
        raise ExportNothingToWrite("The song has neither chords nor a melody to be played")
    song.sound()
    with told_if_damaged():
        song_power, frames = _power(song_blocks(song))
    tones_power, _ = _power(_rendered(tones, frames))
    level = 10 ** (options.tones_db / 20) * ((song_power / tones_power) ** 0.5 if song_power and tones_power else 1.0)

    def render() -> Iterator[Samples]:
        for block, played in zip(song_blocks(song), _rendered(tones, frames), strict=True):
            yield block + np.float32(level) * played

    return sound_file(render, 2, options)


def tones_of(song_map: SongMap) -> list[Tone]:
    """What is played of a map, in order of time."""
    tuning = median(note.cents for note in notes) / 100 if (notes := song_map.performance.bass or song_map.performance.melody) else 0.0
    tones: list[Tone] = []
    for chord in song_map.chords:
        parts = harte.parse(chord.label)
        if parts is None:
            continue
        start, end = _samples(chord.start, chord.end)
        root = spelling.pitch_class(parts.root)
        pitches = {_from(_CHORDS_FROM, root + tone) for tone in harte.tones(parts.quality)}
        tones += [Tone(start, end, pitch + tuning, "chords") for pitch in sorted(pitches)]
        bass = spelling.pitch_class(parts.bass_note) if parts.bass_note else root
        tones.append(Tone(start, end, _from(_BASS_FROM, bass) + tuning, "bass"))
    tones += [Tone(*_samples(note.start, note.end), note.midi + tuning, "melody") for note in song_map.performance.melody]
    return sorted(tones, key=lambda tone: tone.start)


def _samples(start: float, end: float) -> tuple[int, int]:
    return round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)


def _from(lowest: int, pitch_class: int) -> int:
    """The MIDI note of a pitch class in the octave from `lowest` on."""
    return lowest + (pitch_class - lowest) % 12


def _rendered(tones: list[Tone], frames: int) -> Iterator[Samples]:
    """The tones in mono blocks (`BLOCK_FRAMES`, 1)."""
    tables = {part: _table(level, partials) for part, (level, partials) in _TIMBRES.items()}
    sounding: list[Tone] = []
    place = 0
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        while place < len(tones) and tones[place].start < stop:
            sounding.append(tones[place])
            place += 1
        block = np.zeros((stop - start, 1), np.float32)
        for tone in sounding:
            begin, end = max(tone.start, start), min(tone.end, stop)
            if end > begin:
                block[begin - start : end - start, 0] += _piece(tone, tables[tone.part], begin, end)
        sounding = [tone for tone in sounding if tone.end > stop]
        yield block


def _piece(tone: Tone, table: Samples, begin: int, end: int) -> Samples:
    """(end - begin,): a tone between two samples of the song. It fades in and out, so that it begins and ends without a click."""
    since = np.arange(begin - tone.start, end - tone.start)
    frequency = 440.0 * 2 ** ((tone.midi - 69) / 12)
    turns = since * (frequency / SAMPLE_RATE)
    sound = table[(turns * _TABLE).astype(np.int64) % _TABLE]
    left = tone.end - tone.start - since
    fading = np.minimum(since / (_ATTACK_SEC * SAMPLE_RATE), left / (_RELEASE_SEC * SAMPLE_RATE))
    piece: Samples = sound * np.clip(fading, 0.0, 1.0).astype(np.float32)
    return piece


def _table(level: float, partials: Iterable[float]) -> Samples:
    """(_TABLE,): a period of a tone."""
    turn = np.arange(_TABLE) * (2 * np.pi / _TABLE)
    table: Samples = (level * np.sum([part * np.sin((nth + 1) * turn) for nth, part in enumerate(partials)], axis=0)).astype(np.float32)
    return table


def _power(blocks: Iterator[Samples]) -> tuple[float, int]:
    """The mean power of a sound, and how many frames it has."""
    total, frames, channels = 0.0, 0, 1
    for block in blocks:
        total += float(np.square(block, dtype=np.float64).sum())
        frames, channels = frames + len(block), block.shape[1]
    return (total / (frames * channels) if frames else 0.0), frames
