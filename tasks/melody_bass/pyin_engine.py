"""Pitch with probabilistic YIN (Mauch & Dixon 2014), as librosa has it: no weights, slower, and less sure in a separated stem."""

from __future__ import annotations

from typing import Final

import numpy as np

from tasks.common.audio import Samples
from tasks.common.numba_cache import import_librosa
from tasks.common.progress import Progress, silent
from tasks.melody_bass.pitch import HOP_SEC, FloatArray, PitchTrack, hz_to_midi, midi_to_hz

SAMPLE_RATE: Final = 16000
_HOP: Final = 256
_BLOCK_FRAMES: Final = 1875
_MARGIN_FRAMES: Final = 63  # one second on each side, so that the Viterbi path is settled where blocks meet

#: Pitch bins per semitone: a fifth, since the decoder rounds to semitones. librosa's default, a tenth, takes three times as long.
_RESOLUTION: Final = 0.2


def track_pitch(signal: Samples, min_midi: float, max_midi: float, progress: Progress = silent) -> PitchTrack:
    """Track the pitch of a monophonic signal.

    signal: (samples,) at 16 kHz. min_midi, max_midi: pitches to consider.
    """
    frames = len(signal) // _HOP
    midi = np.full(frames, np.nan)
    confidence = np.zeros(frames)
    for start in range(0, frames, _BLOCK_FRAMES):
        end = min(start + _BLOCK_FRAMES, frames)
        left = max(0, start - _MARGIN_FRAMES)
        block = signal[left * _HOP : (end + _MARGIN_FRAMES) * _HOP]
        block_midi, block_confidence = _detect(block, min_midi, max_midi)
        midi[start:end] = block_midi[start - left : end - left]
        confidence[start:end] = block_confidence[start - left : end - left]
        progress(end / frames, f"pitch to {end * HOP_SEC:.0f} s")
    return PitchTrack(midi, confidence)


def _detect(block: Samples, min_midi: float, max_midi: float) -> tuple[FloatArray, FloatArray]:
    librosa = import_librosa()
    fmin = midi_to_hz(min_midi - 0.5)
    # pYIN wants at least two periods of the lowest pitch in a frame.
    frame_length = 2048 if fmin > 2 * SAMPLE_RATE / 2048 * 2 else 4096
    frequency, flag, probability = librosa.pyin(
        block,
        fmin=fmin,
        fmax=midi_to_hz(max_midi + 0.5),
        sr=SAMPLE_RATE,
        frame_length=frame_length,
        hop_length=_HOP,
        resolution=_RESOLUTION,
        fill_na=None,
    )
    # pYIN's probabilities are small in themselves; its Viterbi path says what is voiced. The decoder wants both in one number.
    confidence = np.where(flag, 0.5 + 0.5 * probability, 0.5 * probability)
    return hz_to_midi(np.asarray(frequency, np.float64)), np.asarray(confidence, np.float64)
