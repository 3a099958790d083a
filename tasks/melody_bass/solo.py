"""Whether a recording is one line alone: a voice, a flute, a melody played on a piano. Then the recording itself is read, not a stem.

Separation looks for a singer in everything, and finds little in a piano's melody and half a violin. A line alone needs no separation: the
pitch tracker is sure of nearly every sounding frame, and no second pitch sounds beside it. Measured on whole files (mean confidence where
there is sound; share of the time with a second pitch): melodies of POP909 played alone on a piano 0.86-0.90 and 0.07-0.15; mixes of songs
0.18-0.68 and 0.11-0.94.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from tasks.common.audio import SAMPLE_RATE, Samples, read_stereo
from tasks.common.progress import Progress, silent
from tasks.melody_bass import envelope
from tasks.melody_bass.pitch import HOP_SEC, PitchTrack
from tasks.melody_bass.polyphony import polyphonic_share

_EXCERPTS: Final = 5
_EXCERPT_SEC: Final = 6.0
#: Frames this far below the loudest are no sound of the line.
_SOUNDING_DB: Final = 40.0
_LEAST_SOUNDING_SEC: Final = 2.0
_SURE: Final = 0.78
_SOLO: Final = 0.25


@dataclass(frozen=True)
class Tracker:
    """A pitch tracker: the rate (Hz) it wants its (samples,) at, and what it does with them."""

    sample_rate: int
    track: Callable[[Samples, Progress], PitchTrack]


def is_solo(path: Path, tracker: Tracker, min_midi: float, max_midi: float) -> bool:
    """Whether a 44.1 kHz WAV file holds a single line. min_midi, max_midi: where to look for a second pitch."""
    heard = [_measure(signal, tracker, min_midi, max_midi) for signal in excerpts(path)]
    loudest = max((float(level.max(initial=envelope.FLOOR_DB)) for _, level, _ in heard), default=envelope.FLOOR_DB)
    if loudest <= envelope.FLOOR_DB + _SOUNDING_DB:
        return False
    sounding = [level > loudest - _SOUNDING_DB for _, level, _ in heard]
    seconds = sum(int(frames.sum()) for frames in sounding) * HOP_SEC
    if seconds < _LEAST_SOUNDING_SEC:
        return False
    sure = np.concatenate([track.confidence[frames] for (track, _, _), frames in zip(heard, sounding, strict=True)]).mean()
    voiced = np.array([float(track.voiced.sum()) for track, _, _ in heard])
    second = float(np.average([share for _, _, share in heard], weights=voiced)) if voiced.any() else 1.0
    return bool(sure >= _SURE and second <= _SOLO)


def _measure(signal: Samples, tracker: Tracker, min_midi: float, max_midi: float) -> tuple[PitchTrack, np.ndarray, float]:
    """The pitch, the level (dBFS) on the same frames, and the share of the time with a second pitch."""
    track = tracker.track(soxr.resample(signal, SAMPLE_RATE, tracker.sample_rate), silent)
    at_16k = soxr.resample(signal, SAMPLE_RATE, envelope.SAMPLE_RATE)
    level = np.full(len(track), envelope.FLOOR_DB)
    measured = envelope.level(at_16k)[: len(track)]
    level[: len(measured)] = measured
    return track, level, polyphonic_share(at_16k, track, min_midi, max_midi)


def excerpts(path: Path) -> list[Samples]:
    """(samples,) mono excerpts spread over the file; all of it where it is short."""
    total = soundfile.info(path).frames
    length = round(_EXCERPT_SEC * SAMPLE_RATE)
    if total <= _EXCERPTS * length:
        return [read_stereo(path).mean(axis=0)] if total else []
    starts = np.linspace(0, total - length, _EXCERPTS + 2)[1:-1].astype(int)
    return [read_stereo(path, start=int(start), frames=length).mean(axis=0) for start in starts]
