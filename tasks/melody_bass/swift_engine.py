"""Pitch with SwiftF0, a small convolutional network on the spectrogram (Nieradzik 2025, arXiv:2508.18440).

The network hears 46.9 to 2093 Hz. The lowest notes of a bass lie below (E1 is 41 Hz, B0 31 Hz), so a bass stem is played to it at double
speed: everything sounds an octave higher, and the answer is brought down again. A frame then spans 32 ms of the song instead of 16; a
second pass, begun 16 ms later, fills the frames between.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.common.audio import Samples
from tasks.common.progress import Progress, part_of, silent
from tasks.melody_bass import network
from tasks.melody_bass.pitch import FloatArray, PitchTrack, hz_to_midi, midi_to_hz

if TYPE_CHECKING:
    import onnxruntime

SAMPLE_RATE: Final = 16000
_HOP: Final = 256
_FMIN: Final = 46.875
_FMAX: Final = 2093.75

#: The network's reach: a frame is the same in a block as in the whole file with this many frames before and after it (swift_f0/core.py).
_LEFT_FRAMES: Final = 11
_RIGHT_FRAMES: Final = 10
_BLOCK_FRAMES: Final = 1875

#: In digital silence the network answers with random voiced frames (swift_f0/core.py).
_SILENCE_PEAK: Final = 1e-3

#: RMS level the signal is brought to before the network hears it: stems can be quiet, and its input has a floor.
_TARGET_RMS: Final = 0.1

#: How hard the clipper is driven by the loud parts, and its offset, which makes even harmonics.
_DRIVE: Final = 1.5
_ASYMMETRY: Final = 0.5


def sample_rate(octave_trick: bool) -> int:
    """The rate (Hz) at which `track_pitch` wants its signal."""
    return SAMPLE_RATE // 2 if octave_trick else SAMPLE_RATE


def track_pitch(
    signal: Samples, folder: Path, min_midi: float, max_midi: float, octave_trick: bool = False, progress: Progress = silent
) -> PitchTrack:
    """Track the pitch of a monophonic signal.

    signal: (samples,) at `sample_rate(octave_trick)` Hz. folder: holds `model.onnx`. min_midi, max_midi: pitches to consider.
    octave_trick: play at double speed, for pitches below 47 Hz.
    """
    session = network.load("swift-f0", folder / "model.onnx")
    shift = 12 if octave_trick else 0
    # Half a semitone beyond the range, so that its outermost notes may be out of tune.
    fmin = max(_FMIN, midi_to_hz(min_midi + shift - 0.5))
    fmax = min(_FMAX, midi_to_hz(max_midi + shift + 0.5))
    plain = _levelled(signal)
    saturated = _saturated(plain)
    if octave_trick:
        pitch, confidence = _detect_half_frames(session, saturated, fmin, fmax, progress)
        return PitchTrack(hz_to_midi(pitch) - 12, confidence)
    pitch, confidence = _detect(session, plain, fmin, fmax, part_of(progress, 0.0, 0.5))
    second = _detect(session, saturated, fmin, fmax, part_of(progress, 0.5, 1.0))
    return PitchTrack(hz_to_midi(pitch), _confirmed(pitch, confidence, *second))


def _confirmed(pitch: FloatArray, confidence: FloatArray, second_pitch: FloatArray, second_confidence: FloatArray) -> FloatArray:
    """The higher of two confidences where both have the same pitch, within half a semitone; else the first.

    Saturation makes difference tones where two voices sing, so that it may confirm a pitch, but not name one.
    """
    agree = np.abs(np.log2(np.maximum(second_pitch, 1.0) / np.maximum(pitch, 1.0))) < 0.5 / 12
    return np.where(agree, np.maximum(confidence, second_confidence), confidence)


def _detect_half_frames(
    session: onnxruntime.InferenceSession, signal: Samples, fmin: float, fmax: float, progress: Progress
) -> tuple[FloatArray, FloatArray]:
    """Pitch (Hz, as played) and confidence each 128 samples: two passes, half a frame apart, interleaved."""
    even = _detect(session, signal, fmin, fmax, part_of(progress, 0.0, 0.5))
    odd = _detect(session, signal[_HOP // 2 :], fmin, fmax, part_of(progress, 0.5, 1.0))
    frames = int(np.ceil(len(signal) / (_HOP // 2)))
    pitch, confidence = (_interleave(a, b, frames) for a, b in zip(even, odd, strict=True))
    return pitch, confidence


def _interleave(even: FloatArray, odd: FloatArray, frames: int) -> FloatArray:
    merged = np.zeros(2 * max(len(even), len(odd)))
    merged[0 : 2 * len(even) : 2] = even
    merged[1 : 2 * len(odd) : 2] = odd
    return merged[:frames]


def _levelled(signal: Samples) -> Samples:
    """The signal with its loud parts (95th percentile of the frames' RMS) at `_TARGET_RMS`."""
    usable = signal[: len(signal) // _HOP * _HOP].reshape(-1, _HOP)
    if not len(usable):
        return signal
    level = np.sqrt(np.mean(np.square(usable), axis=1))
    # A part that plays for a moment only is measured by its loudest moment, less 10 dB, and not by the leakage around it.
    loud = max(float(np.percentile(level, 95)), float(level.max()) * 10 ** (-10 / 20))
    return signal * np.float32(_TARGET_RMS / loud) if loud > 0 else signal


def _saturated(signal: Samples) -> Samples:
    """The levelled signal through a soft asymmetric clipper, which gives harmonics to what has none.

    The network is unsure of a pure tone, such as a bass that separation filtered low or a soft vowel. Measured on sine tones from B0 to C4:
    confidence 0.04 to 0.62 before, 0.95 to 1 after; on the songs of README.md more notes are found, and the pitch of clean voices and
    basses is as right as before.
    """
    offset = np.float32(_DRIVE * _ASYMMETRY)
    shaped: Samples = np.tanh(np.float32(_DRIVE / _TARGET_RMS) * signal + offset) - np.tanh(offset)
    return shaped * np.float32(_TARGET_RMS)


def _detect(
    session: onnxruntime.InferenceSession, signal: Samples, fmin: float, fmax: float, progress: Progress
) -> tuple[FloatArray, FloatArray]:
    """Pitch (Hz) and confidence per frame of 256 samples, block by block."""
    frames = len(signal) // _HOP
    pitch = np.zeros(frames)
    confidence = np.zeros(frames)
    for start in range(0, frames, _BLOCK_FRAMES):
        end = min(start + _BLOCK_FRAMES, frames)
        left = max(0, start - _LEFT_FRAMES)
        stop = (end + _RIGHT_FRAMES) * _HOP if end < frames else len(signal)
        block = np.ascontiguousarray(signal[left * _HOP : stop])
        inputs = {"audio": block[None, :], "fmin": np.array(fmin, np.float32), "fmax": np.array(fmax, np.float32)}
        block_pitch, block_confidence = session.run(["pitch", "confidence"], inputs)
        pitch[start:end] = block_pitch[0, start - left : end - left]
        peak = np.abs(signal[start * _HOP : end * _HOP].reshape(-1, _HOP)).max(axis=1)
        confidence[start:end] = np.where(peak < _SILENCE_PEAK, 0.0, block_confidence[0, start - left : end - left])
        progress(end / frames, f"pitch to {end * _HOP / SAMPLE_RATE:.0f} s")
    return pitch, confidence
