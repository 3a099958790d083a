"""The pitch of an instrument alone, tracked: the truth where nobody wrote it down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tasks.common.numba_cache import import_librosa
from tasks.common.storage.artifacts import sha256_file
from tasks.common.storage.atomic import atomic_write
from tasks.evaluation.annotations import PitchTrack

_LOWEST_HZ = 27.5
_HIGHEST_HZ = 400.0
_RATE = 11025
#: Frames pYIN is less sure of do not count as truth.
_SURE = 0.5
_SILENCE_DB = 40.0


def bass_pitch(stem: Path, kept_in: Path) -> PitchTrack:
    """pYIN (Mauch and Dixon, 2014) on a bass stem, 27.5 to 400 Hz; frames 40 dB below the loudest are silent. Kept, for it is slow."""
    kept = kept_in / f"{sha256_file(stem)}.json"
    if not kept.exists():
        librosa = import_librosa()
        sound, rate = librosa.load(stem, sr=_RATE, mono=True)
        hertz, voiced, sure = librosa.pyin(sound, fmin=_LOWEST_HZ, fmax=_HIGHEST_HZ, sr=rate, frame_length=2048)
        level = librosa.amplitude_to_db(librosa.feature.rms(y=sound, frame_length=2048)[0], ref=np.max)[: len(hertz)]
        hertz = np.where(voiced & (sure >= _SURE) & (level > -_SILENCE_DB), hertz, 0.0)
        times = librosa.times_like(hertz, sr=rate)
        kept.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"times": [round(float(t), 4) for t in times], "hertz": [round(float(f), 3) for f in hertz]})
        atomic_write(kept, text.encode())
    found = json.loads(kept.read_text(encoding="utf-8"))
    return PitchTrack(tuple(found["times"]), tuple(found["hertz"]))
