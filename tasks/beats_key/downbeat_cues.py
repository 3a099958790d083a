"""What the stems say about beats and bars: where harmony changes, where the kick drum is hit, what the networks hear in the drums alone.

All at `FPS` frames a second, frame i at i / FPS seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from schemas.results import StemName
from tasks.beats_key.activations import Activations, beat_activations
from tasks.common.audio import SAMPLE_RATE
from tasks.common.constant_q import CqtShape, chroma
from tasks.common.progress import Progress, part_of, silent
from tasks.common.spectra import FPS, filtered_spectra
from tasks.common.tuning import tuning_of

Floats = npt.NDArray[np.float64]

#: Six octaves from E1.
_CHROMA = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=216, bins_per_octave=36)
#: So many of the ensemble's eight networks listen to the drums: two agree well enough with all (their bars differ on 1 of 13 songs).
_DRUM_NETWORKS = 2
_KICK_HZ = (30.0, 120.0)
_KICK_WINDOW = 2048
_BLOCK_SEC = 30.0


@dataclass(frozen=True)
class DownbeatCues:
    """chroma: (12, frames) at `chroma_fps`. kick: strength of onsets below 120 Hz. drums: activations. Both None without stems."""

    chroma: npt.NDArray[np.floating]
    chroma_fps: float
    kick: Floats | None = None
    drums: Activations | None = None


def gather(mix: Path, stems: Mapping[StemName, Path] | None, progress: Progress = silent) -> DownbeatCues:
    """The cues in 44.1 kHz WAV files: the mix alone, or the stems bass, other and drums. Raises ModelUnavailable."""
    harmony = harmonic_chroma([stems["bass"], stems["other"]] if stems else [mix], tuning_of(mix))
    progress(0.3, "harmony")
    if stems is None:
        return DownbeatCues(harmony, _CHROMA.sample_rate / _CHROMA.hop)
    drums = beat_activations(stems["drums"], part_of(progress, 0.4, 1.0), networks=_DRUM_NETWORKS)
    return DownbeatCues(harmony, _CHROMA.sample_rate / _CHROMA.hop, kick_onsets(stems["drums"]), drums)


def harmonic_chroma(files: list[Path], tuning: float = 0.0) -> npt.NDArray[np.floating]:
    """Chroma (12, frames) of the sum of some files, from a constant-Q transform of six octaves from E1 on. tuning: semitones above A440."""
    parts = []
    for file in files:
        with soundfile.SoundFile(file) as sound:
            resampler = soxr.ResampleStream(SAMPLE_RATE, _CHROMA.sample_rate, 1, dtype="float32")
            blocks = [resampler.resample_chunk(block.mean(axis=1)) for block in _blocks(sound)]
            parts.append(np.concatenate([*blocks, resampler.resample_chunk(np.zeros(0, np.float32), last=True)]))
    shortest = min(len(part) for part in parts)
    total = np.sum([part[:shortest] for part in parts], axis=0)
    if not total.any():
        return np.zeros((12, 1 + len(total) // _CHROMA.hop))
    total = np.pad(total, (0, max(0, _CHROMA.sample_rate - len(total))))
    return chroma(total, _CHROMA, tuning * _CHROMA.bins_per_octave / 12)


def kick_onsets(drums: Path) -> Floats:
    """Rise of the log level between 30 and 120 Hz, frame by frame."""
    frequencies = np.fft.rfftfreq(_KICK_WINDOW, 1 / SAMPLE_RATE)[:-1]
    band = (frequencies >= _KICK_HZ[0]) & (frequencies < _KICK_HZ[1])
    (found,) = filtered_spectra(drums, [(band / band.sum()).astype(np.float32)[:, None]])
    level = np.log1p(100 * found[:, 0].astype(np.float64))
    rise: Floats = np.maximum(0.0, np.diff(level, prepend=level[:1]))
    return rise


def harmonic_change(cues: DownbeatCues, times: Floats, width: float) -> Floats:
    """How different the harmony is after each time from before it: cosine distance of the chroma over `width` seconds. NaN in silence."""
    sums = np.concatenate([np.zeros((12, 1)), np.cumsum(cues.chroma, axis=1)], axis=1)
    last = cues.chroma.shape[1]

    def total(start: Floats, end: Floats) -> Floats:
        first, stop = (np.clip(np.round(at * cues.chroma_fps).astype(int), 0, last) for at in (start, end))
        difference: Floats = (sums[:, stop] - sums[:, first]).T
        return difference

    before, after = total(times - width, times), total(times, times + width)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Floats = np.where(lengths > 1e-9, 1 - (before * after).sum(axis=1) / lengths, np.nan)
    return change


def strongest_near(strength: npt.NDArray[np.floating], times: Floats, reach: int = 3) -> Floats:
    """The highest value within some frames of each time; 0 beyond the end."""
    if len(strength) == 0:
        return np.zeros(len(times))
    near = np.round(times * FPS).astype(int)[:, None] + np.arange(-reach, reach + 1)
    inside = (near >= 0) & (near < len(strength))
    found: Floats = np.where(inside, strength[np.clip(near, 0, len(strength) - 1)], 0.0).max(axis=1)
    return found


def _blocks(sound: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float32]]:
    yield from sound.blocks(blocksize=round(_BLOCK_SEC * SAMPLE_RATE), dtype="float32", always_2d=True)
