"""What tells where the beats and the bars of a song are: the networks' activations, onsets by band, harmony, and the chords as heard.

Everything comes from the mix. Frames are `FPS` a second where nothing else is said, frame i at i / FPS seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from schemas.results import Chords
from tasks.beats_key.activations import Activations
from tasks.common.audio import SAMPLE_RATE
from tasks.common.constant_q import CqtShape, chroma
from tasks.common.harmony import harte
from tasks.common.harmony.spelling import pitch_class
from tasks.common.progress import Progress, silent
from tasks.common.spectra import FPS, Shape, filterbank, log_spectra
from tasks.common.tuning import tuning_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Bands (Hz) whose onsets are told apart: what drums and instruments mostly have there.
BANDS: Final[Mapping[str, tuple[float, float]]] = {
    "kick": (30.0, 120.0),
    "low": (40.0, 250.0),
    "mid": (250.0, 1000.0),
    "snare": (1000.0, 6000.0),
    "hat": (8000.0, 17000.0),
}
_SPECTRUM: Final = Shape(2048, 6)
#: Six octaves from E1 for the harmony, the lowest two of them for the bass.
_HARMONY: Final = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=216, bins_per_octave=36)
_BASS: Final = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=72, bins_per_octave=36)
_BLOCK_SEC: Final = 30.0
#: Kinds of chords that say different things about a key, and the beginnings of the Harte qualities that each has.
KINDS: Final = ("maj", "dom", "min", "dim", "aug", "sus", "open")
_KIND_OF: Final = (
    ("min", "min"), ("hdim", "dim"), ("dim", "dim"), ("aug", "aug"), ("sus", "sus"), ("maj", "maj"),
    ("7", "dom"), ("9", "dom"), ("11", "dom"), ("13", "dom"), ("5", "open"), ("1", "open"), ("(1,5)", "open"),
)  # fmt: skip


@dataclass(frozen=True)
class Harmony:
    """Chroma (12, frames) of the whole and of the bass, at `fps` frames a second."""

    chroma: npt.NDArray[np.floating]
    bass: npt.NDArray[np.floating]
    fps: float

    @cached_property
    def chroma_sums(self) -> Floats:
        return _sums(self.chroma)

    @cached_property
    def bass_sums(self) -> Floats:
        return _sums(self.bass)

    def total(self, sums: Floats, start: Floats, end: Floats) -> Floats:
        """(times, 12) what `chroma_sums` or `bass_sums` gather from each start to each end (s)."""
        first, stop = (np.clip(np.round(at * self.fps).astype(int), 0, sums.shape[1] - 1) for at in (start, end))
        found: Floats = (sums[:, stop] - sums[:, first]).T
        return found

    def change(self, sums: Floats, times: Floats, width: Floats) -> Floats:
        """How different the harmony is after each time from before it: cosine distance over `width` seconds. NaN in silence."""
        before, after = self.total(sums, times - width, times), self.total(sums, times, times + width)
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = np.where(lengths > 1e-9, 1 - (before * after).sum(axis=1) / lengths, np.nan)
        return found


@dataclass(frozen=True)
class HeardChords:
    """The chords as they were heard, on no beats: when each begins and ends (s), its root (0 is C; -1 for none), its kind in `KINDS`."""

    starts: Floats
    ends: Floats
    roots: Ints
    kinds: Ints

    @property
    def changes(self) -> Floats:
        return self.starts[1:]

    @staticmethod
    def of(chords: Chords | None) -> HeardChords:
        found = chords.chords if chords is not None else ()
        return HeardChords.of_labels([(chord.start, chord.end, chord.label) for chord in found])

    @staticmethod
    def of_labels(spans: Sequence[tuple[float, float, str]]) -> HeardChords:
        """From start, end (s) and Harte label."""
        parts = [harte.parse(label) for _, _, label in spans]
        return HeardChords(
            np.array([start for start, _, _ in spans], np.float64),
            np.array([end for _, end, _ in spans], np.float64),
            np.array([-1 if part is None else pitch_class(part.root) for part in parts], np.int64),
            np.array([0 if part is None else _kind(part.quality) for part in parts], np.int64),
        )


@dataclass(frozen=True)
class Evidence:
    """activations: (frames, 2) as of `tasks.beats_key.activations`. levels, onsets: (frames,) by band: log level, and its rise."""

    activations: Activations
    levels: Mapping[str, Floats]
    onsets: Mapping[str, Floats]
    harmony: Harmony
    chords: HeardChords

    @cached_property
    def beat_probability(self) -> Floats:
        total: Floats = self.activations.sum(axis=1).astype(np.float64)
        return total

    def onsets_between(self, start: float, end: float) -> Mapping[str, Floats]:
        """The onsets from `start` to `end` (s), and 0 elsewhere; 1 is what one frame in twenty surpasses there."""
        first, stop = max(0, round(start * FPS)), round(end * FPS) + 1
        found = {name: np.zeros_like(onset) for name, onset in self.onsets.items()}
        for name, onset in self.onsets.items():
            inside = onset[first:stop]
            if len(inside):
                found[name][first:stop] = inside / (np.percentile(inside, 95) + 1e-9)
        return found


def _kind(quality: str) -> int:
    return KINDS.index(next((kind for beginning, kind in _KIND_OF if quality.startswith(beginning)), "maj"))


def gather(mix: Path, heard: Activations, chords: Chords | None, progress: Progress = silent) -> Evidence:
    """The evidence in a 44.1 kHz WAV file, beside the activations and the chords that were found in it."""
    (spectrum,) = log_spectra(mix, [_SPECTRUM])
    progress(0.4, "onsets")
    levels = band_levels(spectrum)
    harmony = find_harmony(mix)
    progress(1.0, "harmony")
    return Evidence(heard, levels, {name: rise(level) for name, level in levels.items()}, harmony, HeardChords.of(chords))


def band_levels(spectrum: npt.NDArray[np.floating]) -> dict[str, Floats]:
    """Mean log level of each of `BANDS` in a spectrum (frames, bands) of `_SPECTRUM`."""
    filters = filterbank(_SPECTRUM)
    centres = (filters * np.arange(len(filters))[:, None]).sum(axis=0) / filters.sum(axis=0) * SAMPLE_RATE / 2 / len(filters)
    inside = {name: (centres >= low) & (centres < high) for name, (low, high) in BANDS.items()}
    return {name: spectrum[:, where].mean(axis=1, dtype=np.float64) for name, where in inside.items()}


def rise(level: Floats) -> Floats:
    """By how much a level (frames,) has risen since one frame and since two frames ago, the latter at half its weight."""
    since_one = np.diff(level, prepend=level[:1])
    since_two = np.concatenate([np.zeros(min(2, len(level))), level[2:] - level[:-2]])
    found: Floats = np.maximum(0.0, since_one) + 0.5 * np.maximum(0.0, since_two)
    return found


def find_harmony(mix: Path) -> Harmony:
    """Chroma of a 44.1 kHz WAV file by constant-Q transforms, in the song's own tuning."""
    fps = _HARMONY.sample_rate / _HARMONY.hop
    with soundfile.SoundFile(mix) as sound:
        resampler = soxr.ResampleStream(SAMPLE_RATE, _HARMONY.sample_rate, 1, dtype="float32")
        blocks = [resampler.resample_chunk(block.mean(axis=1)) for block in _blocks(sound)]
        mono = np.concatenate([*blocks, resampler.resample_chunk(np.zeros(0, np.float32), last=True)])
    if not mono.any():
        nothing = np.zeros((12, 1 + len(mono) // _HARMONY.hop))
        return Harmony(nothing, nothing, fps)
    mono = np.pad(mono, (0, max(0, _HARMONY.sample_rate - len(mono))))
    tuning = tuning_of(mix) * _HARMONY.bins_per_octave / 12
    return Harmony(chroma(mono, _HARMONY, tuning), chroma(mono, _BASS, tuning), fps)


def strongest_near(strength: npt.NDArray[np.floating], times: Floats, reach: int = 3) -> Floats:
    """The highest value within some frames of each time; 0 beyond the end."""
    if len(strength) == 0:
        return np.zeros(len(times))
    near = np.round(times * FPS).astype(int)[:, None] + np.arange(-reach, reach + 1)
    inside = (near >= 0) & (near < len(strength))
    found: Floats = np.where(inside, strength[np.clip(near, 0, len(strength) - 1)], 0.0).max(axis=1)
    return found


def _sums(frames: npt.NDArray[np.floating]) -> Floats:
    found: Floats = np.concatenate([np.zeros((len(frames), 1)), np.cumsum(frames, axis=1, dtype=np.float64)], axis=1)
    return found


def _blocks(sound: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    yield from sound.blocks(blocksize=round(_BLOCK_SEC * SAMPLE_RATE), dtype="float32", always_2d=True)
