"""Beat and downbeat activations: madmom's ensemble of recurrent networks.

Conventions: 100 frames a second, frame i is centred on i / 100 s; an activation is an array (frames, 2) of the probabilities of "beat that
is no downbeat" and "downbeat", whose sum is the probability of any beat.

The spectral features are computed block by block. The networks then hear the whole song at once: they are bidirectional, and some of their
cells remember for minutes, so that runs over blocks differ from one over the song by up to 0.3, even with 20 s of context (measured).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.common import models
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.progress import Progress, part_of, silent
from tasks.common.resources import threads

Activations = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

FPS = 100
_HOP = SAMPLE_RATE // FPS
#: A block's own frames, and what is computed before and after it: more than the longest window (93 ms) and the reach of the differences.
BLOCK_SEC = 30.0
CONTEXT_SEC = 1.0
#: No network says anything about fewer frames.
_SHORTEST_FRAMES = 8


@dataclass(frozen=True)
class DownbeatNetworks:
    """The ensemble: what makes features of samples, and the networks. They keep state while they run: one caller at a time."""

    front_end: Any
    networks: tuple[Any, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)


def beat_activations(path: Path, progress: Progress = silent, networks: int | None = None) -> Activations:
    """Activations (frames, 2) of a 44.1 kHz WAV file, after Böck, Krebs and Widmer (ISMIR 2016).

    networks: so many of the ensemble's eight. Memory: some 1.3 kB of features a frame, and the networks' layers, one network at a time.
    Raises ModelUnavailable.
    """
    ensemble = downbeat_networks()
    features = beat_features(path, ensemble.front_end, part_of(progress, 0.0, 0.4))
    if len(features) == 0:
        return np.zeros((0, 2), np.float32)
    padded = np.pad(features, ((0, max(0, _SHORTEST_FRAMES - len(features))), (0, 0)))
    total = np.zeros((len(padded), 3), np.float32)
    chosen = ensemble.networks[:networks]
    for done, network in enumerate(chosen):
        progress(0.4 + 0.6 * done / len(chosen), f"beat activations, network {done + 1} of {len(chosen)}")
        with ensemble.lock:
            total += network(padded)
    progress(1.0)
    # The networks' first class is "no beat".
    mean: Activations = (total / np.float32(len(chosen)))[: len(features), 1:]
    return mean


def beat_features(
    path: Path, front_end: Any, progress: Progress = silent, block_sec: float = BLOCK_SEC, context_sec: float = CONTEXT_SEC
) -> Features:
    """The networks' input (frames, bands) for a 44.1 kHz WAV file: log spectra in three resolutions and their differences."""
    from madmom.audio.signal import Signal

    total = -(-soundfile.info(path).frames // _HOP)
    block, context = round(block_sec * FPS), round(context_sec * FPS)
    features: Features = np.zeros((0, 0), np.float32)
    for start in range(0, total, block):
        progress(start / total, "spectra")
        stop = min(start + block, total)
        first = max(0, start - context)
        samples = read_stereo(path, start=first * _HOP, frames=(min(stop + context, total) - first) * _HOP).mean(axis=0)
        # The differences reach back some frames and need more than one.
        padded = np.pad(samples, (0, max(0, _SHORTEST_FRAMES * _HOP - len(samples))))
        part = np.asarray(front_end(Signal(padded, sample_rate=SAMPLE_RATE, num_channels=1)), dtype=np.float32)
        if start == 0:
            features = np.empty((total, part.shape[1]), np.float32)
        features[start:stop] = part[start - first : stop - first]
    return features


def downbeat_networks() -> DownbeatNetworks:
    """The networks of madmom's RNNDownBeatProcessor, loaded once per process. Raises ModelUnavailable."""
    models.obtain("madmom")

    def load() -> DownbeatNetworks:
        from madmom.features.downbeats import RNNDownBeatProcessor

        front_end, ensemble, _ = RNNDownBeatProcessor(intra_op_num_threads=threads()).processors
        quieten(ensemble)
        return DownbeatNetworks(front_end, tuple(ensemble.processors[0].processors))

    return models.load_once(("madmom", "downbeats", threads()), load)


def quieten(processor: Any) -> None:
    """Make ONNX Runtime quiet about madmom's networks, and give back the memory of a run after it.

    The warnings are about output shapes in the networks' metadata, and harmless. The memory is sized by the longest song so far, and would
    be kept per network: 3 GB after half an hour of music.
    """
    import onnxruntime

    runtime = getattr(processor, "_runtime", None)
    if runtime is not None:
        options = runtime.session_options
        options.log_severity_level = 3  # errors
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # Options count when a session is made.
        runtime.session = onnxruntime.InferenceSession(runtime._model_source, sess_options=options, providers=runtime.providers)
    for part in getattr(processor, "processors", ()):
        quieten(part)
