"""Beats and key without networks: librosa's onset strength, beat tracking by dynamic programming (Ellis 2007), and key profiles on chroma.

The fallback where madmom is not there. Everything is computed in blocks, so that memory does not grow with the song.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from schemas.options import TEMPO_RANGE
from tasks.beats_key.accents import bar_positions
from tasks.beats_key.grid import TEMPO_SLACK, BeatGrid, drop_unsupported, refine_peaks
from tasks.beats_key.key import KeyPosteriors, window_starts
from tasks.beats_key.key_profiles import profile_posteriors
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.progress import Progress, silent

Floats = npt.NDArray[np.float64]

FPS = 100
_HOP = SAMPLE_RATE // FPS
_BLOCK_SEC = 60
_CONTEXT_SEC = 1
#: Listeners' preferred tempo and its spread in octaves (Ellis 2007).
_PREFERRED_BPM, _SPREAD_OCTAVES = 120.0, 1.0
#: Autocorrelation of the onset strength at the beat period, below which there is no steady pulse.
_MIN_PULSE = 0.08
#: Chroma is taken from this range (Hz): below it pitches blur, above it lie mostly overtones.
_CHROMA_RANGE_HZ = (60.0, 2000.0)


@dataclass(frozen=True)
class Onsets:
    """Onset strength at 100 frames a second, of the whole spectrum and below 200 Hz (kick drum, bass)."""

    strength: Floats
    low: Floats


def onset_strength(path: Path, progress: Progress = silent) -> Onsets:
    """Onset strength (spectral flux of a mel spectrogram in dB) of a 44.1 kHz WAV file."""
    import librosa

    full, low = [], []
    for samples, first, last, done in _blocks(path):
        progress(done, "onsets")
        mel = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE, n_fft=2048, hop_length=_HOP, n_mels=128, fmin=30, fmax=11000)
        level = librosa.power_to_db(mel, ref=1.0, amin=1e-7, top_db=None)
        bass = librosa.mel_frequencies(n_mels=128, fmin=30, fmax=11000) < 200
        flux = np.maximum(np.diff(level, axis=1, prepend=level[:, :1]), 0)
        full.append(flux.mean(axis=0)[first:last])
        low.append(flux[bass].mean(axis=0)[first:last])
    return Onsets(_join(full), _join(low))


def onset_likeness(onsets: Onsets) -> Floats:
    """The onset strength scaled to [0, 1], which the beats' confidences come from."""
    scale = float(np.quantile(onsets.strength, 0.98)) if len(onsets.strength) else 0.0
    return np.clip(onsets.strength / scale, 0.0, 1.0) if scale > 0 else np.zeros(len(onsets.strength))


def find_grid(onsets: Onsets, likeness: Floats, min_bpm: float, max_bpm: float) -> BeatGrid:
    """The beat grid. likeness: as of `onset_likeness`. Empty where there is no steady pulse at a tempo in the range."""
    import librosa

    bpm, pulse = pulse_tempo(onsets.strength, min_bpm, max_bpm)
    if bpm is None or pulse < _MIN_PULSE:
        return BeatGrid.empty()
    _, frames = librosa.beat.beat_track(
        onset_envelope=onsets.strength.astype(np.float32), sr=SAMPLE_RATE, hop_length=_HOP, bpm=bpm, trim=True, units="frames"
    )
    if len(frames) < 4:
        return BeatGrid.empty()
    frames = np.asarray(frames, dtype=np.int64)
    # The beat tracker is drawn to a strong pulse nearby, and the best lag at the edge of a narrow range may lie on the slope of such a one.
    tracked = 60 * FPS / float(np.median(np.diff(frames)))
    if (min_bpm, max_bpm) != TEMPO_RANGE and not min_bpm / TEMPO_SLACK <= tracked <= max_bpm * TEMPO_SLACK:
        return BeatGrid.empty()
    near = np.clip(frames[:, None] + np.arange(-3, 4), 0, len(likeness) - 1)
    accents = onsets.low[near].max(axis=1)
    positions, length, clarity = bar_positions(accents)
    grid = BeatGrid(
        times=refine_peaks(likeness, frames) / FPS,
        positions=positions,
        confidences=likeness[near].max(axis=1),
        bar_lengths=np.full(len(frames), length),
        meter_confidence=clarity,
    )
    return drop_unsupported(grid)


def pulse_tempo(strength: Floats, min_bpm: float, max_bpm: float) -> tuple[float | None, float]:
    """The tempo with the highest autocorrelation of the onset strength, weighted by preference, and that autocorrelation (at most 1)."""
    import librosa

    longest = round(60 * FPS / min_bpm)
    centred = strength - strength.mean() if len(strength) else strength
    if len(centred) <= 2 * longest or not centred.any():
        return None, 0.0
    correlation = librosa.autocorrelate(centred, max_size=longest + 2)
    correlation = correlation / correlation[0]
    lags = np.arange(max(1, round(60 * FPS / max_bpm)), longest + 1)
    # A beat comes again after two: that tells a beat from a single repetition.
    octaves = np.log2(60 * FPS / lags / _PREFERRED_BPM)
    weighted = correlation[lags] * np.exp(-0.5 * (octaves / _SPREAD_OCTAVES) ** 2)
    best = int(lags[weighted.argmax()])
    refined = float(refine_peaks(correlation, np.array([best]))[0])
    return 60 * FPS / refined, float(correlation[best])


def key_posteriors(path: Path, progress: Progress = silent) -> KeyPosteriors:
    """Probabilities of the 24 keys in windows over a 44.1 kHz WAV file, from the mean chroma of each window."""
    duration = soundfile.info(path).frames / SAMPLE_RATE
    starts, length = window_starts(duration)
    rows = []
    for done, start in enumerate(starts):
        progress(done / len(starts), "key")
        samples = read_stereo(path, start=round(start * SAMPLE_RATE), frames=round(length * SAMPLE_RATE)).mean(axis=0)
        rows.append(profile_posteriors(mean_chroma(samples)))
    return KeyPosteriors(np.array(starts), length, np.array(rows))


def mean_chroma(samples: npt.NDArray[np.float32]) -> Floats:
    """Mean over time of the chroma (12,), each frame counting the same however loud; zeros for silence."""
    import librosa

    rate, size = 22050, 8192
    lower = librosa.resample(samples, orig_sr=SAMPLE_RATE, target_sr=rate, res_type="soxr_mq")
    spectrum = np.abs(librosa.stft(np.pad(lower, (0, max(0, size - len(lower)))), n_fft=size, hop_length=2048))
    frequencies = librosa.fft_frequencies(sr=rate, n_fft=size)
    spectrum[(frequencies < _CHROMA_RANGE_HZ[0]) | (frequencies > _CHROMA_RANGE_HZ[1])] = 0
    if not spectrum.any():
        return np.zeros(12)
    tuning = librosa.estimate_tuning(S=spectrum, sr=rate, n_fft=size)
    chroma = librosa.feature.chroma_stft(S=spectrum, sr=rate, n_fft=size, tuning=tuning, norm=None)
    shares: Floats = (chroma / (chroma.sum(axis=0, keepdims=True) + 1e-6)).mean(axis=1).astype(np.float64)
    return shares


def _blocks(path: Path) -> Iterator[tuple[npt.NDArray[np.float32], int, int, float]]:
    """Mono blocks with context, which frames of each are its own, and how far into the file it is."""
    total = -(-soundfile.info(path).frames // _HOP)
    for start in range(0, total, _BLOCK_SEC * FPS):
        stop = min(start + _BLOCK_SEC * FPS, total)
        first = max(0, start - _CONTEXT_SEC * FPS)
        count = min(stop + _CONTEXT_SEC * FPS, total) - first
        samples = read_stereo(path, start=first * _HOP, frames=count * _HOP).mean(axis=0)
        yield np.pad(samples, (0, max(0, 2048 - len(samples)))), start - first, stop - first, start / total


def _join(parts: list[npt.NDArray[np.floating]]) -> Floats:
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
