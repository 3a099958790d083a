"""What of a stem is loud enough to be the part itself, and not what separation let through of the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from tasks.melody_bass.envelope import FLOOR_DB
from tasks.melody_bass.pitch import FloatArray

#: Frames this far below the stem's own loud parts, or below the mix at that moment, count half. In eight vocal stems the voice was within
#: 20 dB of both nearly always, and what was fainter was leakage as often as voice.
_BELOW_STEM_DB: Final = 28.0
_BELOW_MIX_DB: Final = 25.0
_SLOPE_DB: Final = 2.0

#: A stem whose loud parts lie this far below the mix's holds no part at all (songs without voice: 40 dB and more).
_ABSENT_DB: Final = 35.0


def audible(stem_db: FloatArray, mix_db: FloatArray) -> FloatArray:
    """Weights in [0, 1] for the confidences of a stem's frames.

    stem_db, mix_db: (frames,) RMS level in dBFS on one frame grid; the mix may be longer or shorter by some frames.
    """
    frames = len(stem_db)
    mix = np.full(frames, FLOOR_DB)
    mix[: min(frames, len(mix_db))] = mix_db[:frames]
    if not frames:
        return np.zeros(0)
    loud_mix = float(np.percentile(mix, 95))
    # A part that plays for a moment only is measured by its loudest moment.
    loud_stem = max(float(np.percentile(stem_db, 95)), float(stem_db.max()) - 10.0)
    if loud_stem < loud_mix - _ABSENT_DB or loud_stem <= FLOOR_DB + 20.0:
        return np.zeros(frames)
    weights: FloatArray = _rising(stem_db - loud_stem + _BELOW_STEM_DB) * _rising(stem_db - mix + _BELOW_MIX_DB)
    return weights


def _rising(margin_db: FloatArray) -> FloatArray:
    logistic: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(margin_db / _SLOPE_DB, -60.0, 60.0)))
    return logistic
