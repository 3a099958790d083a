"""Attacks of the bass, told from those of the drums beside it.

A kick drum lies where the bass does, and a held note under it seems to begin anew with each: the stem's level rises, and so do its bands.
The partials of the bass's own pitch tell: a string that is struck again has all of them stronger than before, and a held one has not. So an
attack while drums sound counts for the bass as far as the partials rise. Without drums every attack counts: a bass that is struck softly
while it still sounds raises its partials little.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tasks.common.audio import Samples
from tasks.melody_bass.envelope import SAMPLE_RATE
from tasks.melody_bass.pitch import HOP_SEC, FloatArray, PitchTrack

_HOP: Final = round(HOP_SEC * SAMPLE_RATE)
_WINDOW: Final = 2048  # 128 ms: five periods of E1
_PARTIALS: Final = 8
#: Partials this far (dB) below the strongest one do not count.
_HEARD_DB: Final = 30.0
#: The pitch is that of so many frames after the attack; the levels are compared over this many to either side of it.
_SETTLED_FRAMES: Final = 4
_SIDE_FRAMES: Final = 3
#: A rise of the partials (dB) that is an attack of their own (of 1.5, 3 and 5, on one bass with drums and three alone).
_CLEAR_DB: Final = 3.0
#: Frames that the drums may lie from an attack of the bass.
_TOGETHER_FRAMES: Final = 3


def own_attacks(signal: Samples, track: PitchTrack, onset: FloatArray, drums: FloatArray) -> FloatArray:
    """The onset strength of a bass stem, (frames,), without what the drums' attacks put into it.

    signal: (samples,) of the stem at 16 kHz. onset: (frames,) its onset strength. drums: (frames,) in [0, 1], how audible they are.
    """
    if not len(onset):
        return onset
    together = np.lib.stride_tricks.sliding_window_view(np.pad(drums, _TOGETHER_FRAMES), 2 * _TOGETHER_FRAMES + 1).max(axis=1)
    own = onset.copy()
    for frame in np.flatnonzero((onset > 0) & (together > 0)):
        rise = _rise_db(signal, track, int(frame))
        if rise is not None:
            own[frame] *= 1.0 - together[frame] * (1.0 - float(np.clip(rise / _CLEAR_DB, 0.0, 1.0)))
    return own


def _rise_db(signal: Samples, track: PitchTrack, frame: int) -> float | None:
    """By how much the partials of the pitch after a frame rise there: the median of those that sound; None where there is no pitch."""
    settled = min(frame + _SETTLED_FRAMES, len(track) - 1)
    if not track.voiced[settled]:
        return None
    hz = 440.0 * 2.0 ** ((float(track.midi[settled]) - 69.0) / 12.0)
    bins = np.round(hz * np.arange(1, _PARTIALS + 1) * _WINDOW / SAMPLE_RATE).astype(int)
    bins = bins[bins < _WINDOW // 2]
    before, after = (_levels(signal, at, bins) for at in (frame - _SIDE_FRAMES - 1, frame + _SIDE_FRAMES))
    return float(np.median((after - before)[after > after.max() - _HEARD_DB]))


def _levels(signal: Samples, frame: int, bins: np.ndarray) -> FloatArray:
    """Level (dB) of the partials around a frame, each the strongest of three bins."""
    start = frame * _HOP - _WINDOW // 2
    inside = signal[max(start, 0) : max(start + _WINDOW, 0)]
    window = np.zeros(_WINDOW)
    window[max(-start, 0) : max(-start, 0) + len(inside)] = inside
    power = np.abs(np.fft.rfft(window * np.hanning(_WINDOW))) ** 2
    levels: FloatArray = 10.0 * np.log10(np.maximum(np.maximum(power[bins - 1], power[bins]), power[bins + 1]) + 1e-10)
    return levels
