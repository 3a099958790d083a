"""Separated stems."""

from __future__ import annotations

from pathlib import Path

import fast_bss_eval
import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.results import STEMS, StemName

Array = NDArray[np.float64]
#: BSS Eval v3 and v4: distortions by filters of up to so many samples are allowed.
_FILTER = 512
_SILENT = 1e-4
_EPSILON = 1e-10


def score_stems(truth: dict[StemName, Path], found: dict[StemName, Path], mix: Path) -> dict[str, float]:
    """SDR, SI-SDR and the SDR of BSS Eval, of each stem over the piece; what the sum lacks of the mix (dB).

    Stereo is scored a channel at a time, and averaged. Stems that are silent in truth are left out.
    """
    scores: dict[str, float] = {}
    for name in STEMS:
        if name in truth:
            reference, estimate = _pair(truth[name], found[name])
            if np.sqrt(np.mean(reference**2)) > _SILENT:
                scores[f"bss_sdr_{name}"] = float(np.mean(fast_bss_eval.sdr(reference, estimate, filter_length=_FILTER)))
                scores[f"si_sdr_{name}"] = float(np.mean(fast_bss_eval.si_sdr(reference, estimate)))
                scores[f"sdr_{name}"] = ratio_db(reference, reference - estimate)
    total = np.sum([_read(found[name]) for name in STEMS], axis=0)
    whole = _read(mix)
    length = min(whole.shape[1], total.shape[1])
    scores["residual_db"] = -ratio_db(whole[:, :length], whole[:, :length] - total[:, :length])
    return scores


def ratio_db(signal: Array, rest: Array) -> float:
    return float(10 * np.log10((np.sum(signal**2) + _EPSILON) / (np.sum(rest**2) + _EPSILON)))


def _pair(truth: Path, found: Path) -> tuple[Array, Array]:
    """Both with as many samples as the shorter has, and a tiny noise, without which silence has no ratio."""
    reference, estimate = _read(truth), _read(found)
    length = min(reference.shape[1], estimate.shape[1])
    noise = np.random.default_rng(0).normal(scale=1e-7, size=(2, length))
    return reference[:, :length] + noise, estimate[:, :length] + noise


def _read(file: Path) -> Array:
    """Two channels, 44.1 kHz."""
    sound, rate = soundfile.read(file, always_2d=True, dtype="float64")
    if rate != 44100:
        raise ValueError(f"{file} has {rate} Hz")
    return np.broadcast_to(sound.T, (2, len(sound))) if sound.shape[1] == 1 else sound.T[:2]
