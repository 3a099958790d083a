"""What a song sounds like, bar by bar: the features the segmentation works on.

A bar is the span from one downbeat to the next; what lies before the first and after the last is a bar too, so that the bars cover the
song. Where a song has no beat grid, the bars are spans of two seconds.

Harmony is a chroma per quarter of a bar (four times twelve values), so that a chord sequence is compared in order and not only in sum.
Timbre is the mean MFCC of the mix. Loudness is one value a stem, in dB. All is computed in blocks: memory does not grow with the song but
for the features.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from tasks.common.constant_q import CqtShape, chroma
from tasks.common.progress import Progress, silent
from tasks.common.short_time import short_time_spectra
from tasks.common.tuning import tuning_of

Floats = npt.NDArray[np.float64]

#: Rate and hop of the analysis: 43 frames a second resolve a sixteenth at 160 BPM.
SAMPLE_RATE = 22050
HOP = 512
#: Seven octaves from C1.
_CHROMA = CqtShape(sample_rate=SAMPLE_RATE, hop=HOP, lowest_midi=24, bins=252, bins_per_octave=36)
_MEL_WINDOW = 2048
_MEL_BANDS = 64
_BLOCK_FRAMES = 60 * SAMPLE_RATE // HOP
#: Context on both sides of a block, longer than the lowest CQT filter (0.5 s at C1).
_CONTEXT_FRAMES = 40
_QUARTERS = 4
_SILENCE_DB = -80.0
#: Length of a bar where there is no beat grid (s).
_FREE_BAR_SEC = 2.0


@dataclass(frozen=True)
class BarFeatures:
    """Features of n bars. `edges` are their n + 1 boundaries (s), from 0 to the song's end.

    harmony: (n, 48), each quarter's chroma of unit length or zero. timbre: (n, 13) MFCC. level_db: (n, stems) RMS in dB, at least -80.
    vocal: (n,) share of the bar in which there is a voice, NaN where that is not known.
    """

    edges: Floats
    harmony: Floats
    timbre: Floats
    level_db: Floats
    vocal: Floats

    def __len__(self) -> int:
        return len(self.edges) - 1


def bar_edges(downbeats: Sequence[float], duration_sec: float) -> Floats:
    """Boundaries of the bars, covering [0, duration]. A stub shorter than a third of a bar at either end is joined to its neighbour."""
    if len(downbeats) < 2:
        count = max(1, round(duration_sec / _FREE_BAR_SEC))
        return np.linspace(0.0, duration_sec, count + 1)
    inner = [time for time in downbeats if 0.0 < time < duration_sec]
    bar = float(np.median(np.diff(np.asarray(downbeats))))
    while inner and inner[0] < bar / 3:
        inner.pop(0)
    while inner and duration_sec - inner[-1] < bar / 3:
        inner.pop()
    # Silence or free time before the first and after the last downbeat is cut into bars of its own.
    head = max(0, round(inner[0] / bar) - 1) if inner else 0
    tail = max(0, round((duration_sec - inner[-1]) / bar) - 1) if inner else 0
    before = [inner[0] - bar * k for k in range(head, 0, -1) if inner[0] - bar * k > bar / 3] if inner else []
    after = [inner[-1] + bar * k for k in range(1, tail + 1) if duration_sec - inner[-1] - bar * k > bar / 3] if inner else []
    return np.asarray([0.0, *before, *inner, *after, duration_sec])


def measure_bars(
    mix: Path,
    harmonic: Sequence[Path],
    stems: Sequence[Path],
    edges: Floats,
    voiced: Sequence[tuple[float, float]] | None,
    progress: Progress = silent,
) -> BarFeatures:
    """Features of the bars.

    mix: the song. harmonic: files whose sum carries the harmony (the mix, or bass and other). stems: files whose levels are measured.
    voiced: where there is a voice, sorted (start, end) in seconds; None if unknown.
    """
    chroma = _framewise([*harmonic], functools.partial(_chroma, tuning=tuning_of(mix)), lambda f: progress(0.6 * f, "harmony"))
    mfcc = _framewise([mix], _mfcc, lambda f: progress(0.6 + 0.3 * f, "timbre"))
    progress(0.9, "levels")
    level = np.column_stack([_levels(path, edges) for path in stems]) if stems else _levels(mix, edges)[:, None]
    progress(1.0)
    return BarFeatures(
        edges=edges,
        harmony=_per_bar(chroma, edges, _QUARTERS, unit=True),
        timbre=_per_bar(mfcc, edges, 1, unit=False),
        level_db=level,
        vocal=_covered(edges, voiced),
    )


def _framewise(paths: list[Path], feature: Callable[[npt.NDArray[np.float32]], Floats], progress: Callable[[float], None]) -> Floats:
    """Apply `feature` ((samples,) -> (bins, frames)) to the sum of files, block by block; (frames, bins) over the whole song."""
    signal = _mono_sum(paths)
    total = 1 + len(signal) // HOP
    found = []
    for first in range(0, total, _BLOCK_FRAMES):
        last = min(first + _BLOCK_FRAMES, total)
        left = max(0, first - _CONTEXT_FRAMES)
        right = min(total, last + _CONTEXT_FRAMES)
        values = feature(signal[left * HOP : right * HOP])
        found.append(values[:, first - left : first - left + (last - first)].T)
        progress(last / total)
    return np.concatenate(found)


def _mono_sum(paths: list[Path]) -> npt.NDArray[np.float32]:
    """Mono sum of files at the analysis rate, read in blocks."""
    files = [soundfile.SoundFile(path) for path in paths]
    try:
        stream = soxr.ResampleStream(files[0].samplerate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        parts = []
        while True:
            blocks = [file.read(1 << 20, dtype="float32", always_2d=True) for file in files]
            if not len(blocks[0]):
                break
            parts.append(stream.resample_chunk(sum(block.mean(axis=1) for block in blocks)))
        parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    finally:
        for file in files:
            file.close()
    return np.concatenate(parts)


def _chroma(signal: npt.NDArray[np.float32], tuning: float = 0.0) -> Floats:
    """(12, frames) energy of the pitch classes from C, the strongest of each frame 1. tuning: semitones above A440."""
    found = chroma(signal, _CHROMA, tuning * _CHROMA.bins_per_octave / 12)
    strongest = found.max(axis=0)
    strongest[strongest < np.finfo(np.float32).tiny] = 1.0
    return np.asarray(found / strongest, dtype=np.float64)


def _mfcc(signal: npt.NDArray[np.float32]) -> Floats:
    """(13, frames) MFCC without the first, which is loudness, as of `librosa.feature.mfcc`."""
    from scipy.fft import dct

    power = np.concatenate([np.abs(block) ** 2 for block in short_time_spectra(signal, _MEL_WINDOW, HOP)], axis=1)
    # A fixed reference: each block's own maximum would make blocks incomparable.
    level = 10 * np.log10(np.maximum(_mel_filters() @ power, 1e-8))
    return np.asarray(dct(level, axis=0, norm="ortho")[1:14], dtype=np.float64)


@functools.lru_cache(maxsize=1)
def _mel_filters() -> npt.NDArray[np.float32]:
    """(bands, bins) triangles of equal area on Slaney's mel scale, up to half the sample rate, as of `librosa.filters.mel`."""
    linear_hz, linear_mel, step = 1000.0, 15.0, np.log(6.4) / 27  # below, 15 bands of equal width; above, 27 to a factor of 6.4
    mels = np.linspace(0.0, linear_mel + np.log(SAMPLE_RATE / 2 / linear_hz) / step, _MEL_BANDS + 2)
    edges = np.where(mels < linear_mel, mels * linear_hz / linear_mel, linear_hz * np.exp(step * (mels - linear_mel)))
    ramps = edges[:, None] - np.fft.rfftfreq(_MEL_WINDOW, 1 / SAMPLE_RATE)
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:])).astype(np.float32)
    return np.asarray(triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None], dtype=np.float32)


def _per_bar(frames: Floats, edges: Floats, parts: int, unit: bool) -> Floats:
    """Mean of (frames, bins) over each of `parts` equal parts of each bar: (bars, parts * bins)."""
    times = np.concatenate([np.linspace(a, b, parts, endpoint=False) for a, b in itertools.pairwise(edges)] + [edges[-1:]])
    borders = np.clip(np.round(times * SAMPLE_RATE / HOP).astype(int), 0, len(frames))
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0)])
    counts = np.maximum(np.diff(borders), 1)[:, None]
    means = (sums[borders[1:]] - sums[borders[:-1]]) / counts
    if unit:
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        means = np.divide(means, norms, out=np.zeros_like(means), where=norms > 1e-9)
    return np.asarray(means.reshape(len(edges) - 1, -1))


def _levels(path: Path, edges: Floats) -> Floats:
    """RMS of each bar in dB."""
    levels = np.full(len(edges) - 1, _SILENCE_DB)
    with soundfile.SoundFile(path) as file:
        borders = np.clip(np.round(edges * file.samplerate).astype(int), 0, file.frames)
        for index, count in enumerate(np.diff(borders)):
            file.seek(int(borders[index]))
            block = file.read(int(count), dtype="float32", always_2d=True)
            power = float(np.mean(np.square(block, dtype=np.float64))) if block.size else 0.0
            levels[index] = max(_SILENCE_DB, 10 * np.log10(power + 1e-12))
    return levels


def _covered(edges: Floats, spans: Sequence[tuple[float, float]] | None) -> Floats:
    """Share of each bar that lies in the spans."""
    if spans is None:
        return np.full(len(edges) - 1, np.nan)
    share = np.zeros(len(edges) - 1)
    for start, end in spans:
        share += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0.0, None)
    return np.clip(share / np.maximum(np.diff(edges), 1e-9), 0.0, 1.0)
