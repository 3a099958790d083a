"""A click track: a click at every beat of the map, higher and louder at the first of a bar, after a count-in. To the sample.

The click of a beat at time t begins at sample round(t * 44100) of the song. Its first sample is its loudest: a DAW shows it at once.

The count-in is as many bars as asked for, in the tempo and the meter of the first bar, and leads to the first beat without a gap. A
pickup is completed to a bar before it: with one beat of pickup in 4/4, a bar of count-in is "1 2 3 4 1 2 3", and the song's first beat is
the 4. The song's own sound begins where it must for that: a song whose first beat comes half a beat after its first sample begins half a
beat before the count-in ends. Where the song has as much time before its first beat, the count-in is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np

from schemas.song_map import SongMap
from tasks.common.audio import SAMPLE_RATE
from tasks.common.audio_forms import Samples
from tasks.common.errors import ExportNothingToWrite
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.sound import BLOCK_FRAMES, song_blocks, sound_file

#: Frequency (Hz) and level (1 is full scale) of the clicks at downbeats, and at other beats.
_ACCENT: Final = (1600.0, 0.9)
_PLAIN: Final = (1000.0, 0.5)
_LENGTH_SEC: Final = 0.040
_DECAY_SEC: Final = 0.007


@dataclass(frozen=True, slots=True)
class Click:
    """sample: where it begins in the file. accented: whether it is the first of a bar."""

    sample: int
    accented: bool


@dataclass(frozen=True, slots=True)
class ClickTrack:
    """clicks: in order. song_start: the sample of the file at which time 0 of the song is. frames: length of the file."""

    clicks: tuple[Click, ...]
    song_start: int
    frames: int


def write(song: Song, options: ExportOptions) -> bytes:
    """The click alone, in mono. Raises ExportNothingToWrite where the song has no beats."""
    track = click_track(song.map, options.count_in_bars)
    return sound_file(lambda: _rendered(track), 1, options, limited=True)


def write_with_mix(song: Song, options: ExportOptions) -> bytes:
    """The click on the left, the song (the mean of its channels) on the right. Raises ExportNothingToWrite, ExportNeedsSound."""
    track = click_track(song.map, options.count_in_bars)
    song.sound()

    def render() -> Iterator[Samples]:
        clicks, mix = _rendered(track), _from(track.song_start, song_blocks(song))
        for left in clicks:
            right = next(mix, np.zeros((0, 1), np.float32))[: len(left)]
            yield np.concatenate([left, np.pad(right, ((0, len(left) - len(right)), (0, 0)))], axis=1)

    return sound_file(render, 2, options)


def click_track(song_map: SongMap, count_in_bars: int) -> ClickTrack:
    """Where the clicks of a song are, with its count-in. Raises ExportNothingToWrite where it has fewer than two beats."""
    beats = song_map.beats
    if len(beats) < 2:
        raise ExportNothingToWrite("The song has no beats for a click track: no steady pulse was found in it")
    count_in = _count_in(song_map, count_in_bars)
    song_start = max(0, -_sample(count_in[0][0])) if count_in else 0
    downbeats = set(song_map.downbeats)
    timed = [*count_in, *((beat, beat in downbeats) for beat in beats)]
    clicks = tuple(Click(song_start + _sample(time), accented) for time, accented in timed)
    return ClickTrack(clicks, song_start, song_start + _sample(song_map.duration_sec))


def _count_in(song_map: SongMap, bars: int) -> list[tuple[float, bool]]:
    """(time, accented) of the beats before the first one, the earliest first. Times before the song are negative."""
    if song_map.bars:
        first = song_map.bars[0]
        meter, beat_sec, pickup = first.beats, (first.end - first.start) / first.beats, first.first_beat
    else:
        meter, pickup = song_map.meter.numerator, 0
        beat_sec = median(later - earlier for earlier, later in pairwise(song_map.beats[: meter + 1]))
    count = bars * meter + -pickup % meter if bars else 0
    return [(song_map.beats[0] - (count - nth) * beat_sec, nth % meter == 0) for nth in range(count)]


def _sample(time: float) -> int:
    return round(time * SAMPLE_RATE)


def _rendered(track: ClickTrack) -> Iterator[Samples]:
    """The clicks in mono blocks. A click ends where the next one begins, at the latest."""
    sounds = {True: _sound(*_ACCENT), False: _sound(*_PLAIN)}
    ends = [click.sample for click in track.clicks[1:]] + [track.frames]
    place = 0
    for start in range(0, track.frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, track.frames)
        block = np.zeros((stop - start, 1), np.float32)
        while place < len(track.clicks) and ends[place] <= start:
            place += 1
        for click, end in zip(track.clicks[place:], ends[place:], strict=True):
            if click.sample >= stop:
                break
            begin, last = max(click.sample, start), min(click.sample + len(sounds[True]), end, stop)
            if last > begin:
                block[begin - start : last - start, 0] = sounds[click.accented][begin - click.sample : last - click.sample]
        yield block


def _sound(frequency: float, level: float) -> Samples:
    """(frames,): a tone that begins at its loudest and dies away, to nothing at its end."""
    time = np.arange(round(_LENGTH_SEC * SAMPLE_RATE)) / SAMPLE_RATE
    fading = np.exp(-time / _DECAY_SEC) - np.exp(-_LENGTH_SEC / _DECAY_SEC)
    sound: Samples = (level * np.cos(2 * np.pi * frequency * time) * fading / fading[0]).astype(np.float32)
    return sound


def _from(start: int, blocks: Iterator[Samples]) -> Iterator[Samples]:
    """The mean of the channels, after `start` samples of silence, in blocks of one size."""
    kept = np.zeros((start, 1), np.float32)
    for block in blocks:
        kept = np.concatenate([kept, block.mean(axis=1, keepdims=True)])
        while len(kept) >= BLOCK_FRAMES:
            yield kept[:BLOCK_FRAMES]
            kept = kept[BLOCK_FRAMES:]
    yield kept
