"""Two parts of the stock chain that are no command of their own: librosa's, used as its documentation does.

python -m tests.performance.bench.stock_parts pyin|structure AUDIO
"""

from __future__ import annotations

import sys

import librosa
import numpy as np


def pyin(path: str) -> None:
    sound, rate = librosa.load(path)
    pitch, voiced, _ = librosa.pyin(sound, sr=rate, fmin=float(librosa.note_to_hz("C2")), fmax=float(librosa.note_to_hz("C7")))
    print(len(pitch), int(np.sum(voiced)))


def structure(path: str) -> None:
    sound, rate = librosa.load(path)
    _, frames = librosa.beat.beat_track(y=sound, sr=rate)
    features = np.vstack([librosa.feature.chroma_cqt(y=sound, sr=rate), librosa.feature.mfcc(y=sound, sr=rate)])
    bounds = librosa.segment.agglomerative(librosa.util.sync(features, list(frames)), 10)
    print(librosa.frames_to_time(np.concatenate([[0], frames]), sr=rate)[bounds])


if __name__ == "__main__":
    {"pyin": pyin, "structure": structure}[sys.argv[1]](sys.argv[2])
