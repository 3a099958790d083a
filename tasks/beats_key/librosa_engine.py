"""Beats and key without networks: librosa's onset strength, beat tracking by dynamic programming (Ellis 2007), downbeats from accents, and
the key by correlation of chroma with key profiles (Krumhansl and Schmuckler's algorithm).

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
from tasks.beats_key.beat_grid import TEMPO_SLACK, BeatGrid, drop_unsupported, refine_peaks
from tasks.beats_key.key import KeyPosteriors, window_starts
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.numba_cache import import_librosa
from tasks.common.progress import Progress, silent
from tasks.common.tuning import tuning_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
#: By how much (standard deviations of the accents) bars of three must stand out more than bars of four to be believed: most songs
#: are in four.
_MARGIN_OF_THREE = 0.25
#: Albrecht and Shanahan (2013), from scores. On 8 short pieces they name the key that madmom's network hears in 6, Krumhansl and Kessler's
#: profiles in 5; on 5 songs with annotated keys both are right in 4.
MAJOR_PROFILE = np.array([0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081])
MINOR_PROFILE = np.array([0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052])
#: What is fainter than this, as the sum of a frame's chroma, counts for less than other frames.
_SILENCE = 1e-6
#: Turns correlations into probabilities: a lead of 0.1 is odds of 4 to 1.
_SHARPNESS = 14.0
#: Correlation of the best key below which a window says nothing. Measured: noise, clicks and drum stems 0.05-0.45, songs 0.55-0.93.
_MIN_CORRELATION = 0.48


@dataclass(frozen=True)
class Onsets:
    """Onset strength at 100 frames a second, of the whole spectrum and below 200 Hz (kick drum, bass)."""

    strength: Floats
    low: Floats


def onset_strength(path: Path, progress: Progress = silent) -> Onsets:
    """Onset strength (spectral flux of a mel spectrogram in dB) of a 44.1 kHz WAV file."""
    librosa = import_librosa()
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
    librosa = import_librosa()
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
    librosa = import_librosa()
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


def bar_positions(accents: npt.NDArray[np.float64]) -> tuple[Ints, int, float]:
    """Position in the bar of each beat, the bars' length in beats (3 or 4), and a confidence in [0, 1] in that length.

    accents: strength (beats,) of low-frequency onsets at the beats. The bar's first beat is where they are strongest on average.
    """
    spread = float(accents.std()) if len(accents) else 0.0
    if len(accents) < 8 or spread == 0:
        return np.arange(len(accents)) % 4 + 1, 4, 0.0
    phases = {length: [float(accents[phase::length].mean()) for phase in range(length)] for length in (3, 4)}
    standing_out = {length: (max(means) - float(np.mean(means))) / spread for length, means in phases.items()}
    lead = standing_out[3] - standing_out[4] - _MARGIN_OF_THREE
    length = 3 if lead > 0 else 4
    downbeat = int(np.argmax(phases[length]))
    positions = (np.arange(len(accents)) - downbeat) % length + 1
    return positions.astype(np.int64), length, float(np.clip(abs(lead), 0.0, 1.0))


def key_posteriors(path: Path, progress: Progress = silent) -> KeyPosteriors:
    """Probabilities of the 24 keys in windows over a 44.1 kHz WAV file, from the mean chroma of each window."""
    duration = soundfile.info(path).frames / SAMPLE_RATE
    tuning = tuning_of(path)
    starts, length = window_starts(duration)
    rows = []
    for done, start in enumerate(starts):
        progress(done / len(starts), "key")
        samples = read_stereo(path, start=round(start * SAMPLE_RATE), frames=round(length * SAMPLE_RATE)).mean(axis=0)
        rows.append(profile_posteriors(mean_chroma(samples, tuning)))
    return KeyPosteriors(np.array(starts), length, np.array(rows))


def chroma_posteriors(chroma: npt.NDArray[np.floating], fps: float) -> KeyPosteriors:
    """Probabilities of the 24 keys in windows over a song, from its chroma (12, frames) at `fps` frames a second. Needs no librosa."""
    starts, length = window_starts(chroma.shape[1] / fps)
    shares = (chroma / (chroma.sum(axis=0, keepdims=True) + _SILENCE)).astype(np.float64)
    windows = [shares[:, round(start * fps) : max(1, round((start + length) * fps))] for start in starts]
    return KeyPosteriors(np.array(starts), length, np.array([profile_posteriors(window.mean(axis=1)) for window in windows]))


def mean_chroma(samples: npt.NDArray[np.float32], tuning: float = 0.0) -> Floats:
    """Mean over time of the chroma (12,), each frame counting the same however loud; zeros for silence. tuning: semitones above A440."""
    librosa = import_librosa()
    rate, size = 22050, 8192
    lower = librosa.resample(samples, orig_sr=SAMPLE_RATE, target_sr=rate, res_type="soxr_mq")
    spectrum = np.abs(librosa.stft(np.pad(lower, (0, max(0, size - len(lower)))), n_fft=size, hop_length=2048))
    frequencies = librosa.fft_frequencies(sr=rate, n_fft=size)
    spectrum[(frequencies < _CHROMA_RANGE_HZ[0]) | (frequencies > _CHROMA_RANGE_HZ[1])] = 0
    if not spectrum.any():
        return np.zeros(12)
    chroma = librosa.feature.chroma_stft(S=spectrum, sr=rate, n_fft=size, tuning=tuning, norm=None)
    shares: Floats = (chroma / (chroma.sum(axis=0, keepdims=True) + _SILENCE)).mean(axis=1).astype(np.float64)
    return shares


def profile_posteriors(chroma: Floats) -> Floats:
    """Probabilities (24,) of the keys for a chroma vector (12,); all the same where nothing tonal is heard."""
    correlations = profile_correlations(chroma)
    if float(correlations.max()) < _MIN_CORRELATION:
        return np.full(24, 1 / 24)
    odds = np.exp(_SHARPNESS * (correlations - correlations.max()))
    probabilities: Floats = odds / odds.sum()
    return probabilities


def profile_correlations(chroma: Floats) -> Floats:
    """Pearson correlation (24,) of a chroma vector with every key's profile; zeros for a flat one."""
    profiles = np.array([np.roll(profile, tonic) for profile in (MAJOR_PROFILE, MINOR_PROFILE) for tonic in range(12)])
    centred = chroma - chroma.mean()
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred) * np.linalg.norm(profiles, axis=1)
    if np.linalg.norm(centred) < 1e-9:
        return np.zeros(24)
    correlations: Floats = profiles @ centred / norm
    return correlations


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
