"""Beat and downbeat activations: madmom's ensemble of recurrent networks, run over the song in overlapping blocks.

Conventions: 100 frames a second, frame i is centred on i / 100 s; an activation is an array (frames, 2) of the probabilities of "beat that
is no downbeat" and "downbeat", whose sum is the probability of any beat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.common import models
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.progress import Progress, silent
from tasks.common.resources import threads

Activations = npt.NDArray[np.float32]

FPS = 100
_HOP = SAMPLE_RATE // FPS
#: A block's own frames, and how much the networks hear before and after it. They are bidirectional and have a long memory: with 10 s, the
#: activations differ from those of the whole file by less than 0.01 (measured in tests/integration).
BLOCK_SEC = 60.0
CONTEXT_SEC = 10.0


def beat_activations(
    path: Path, progress: Progress = silent, block_sec: float = BLOCK_SEC, context_sec: float = CONTEXT_SEC
) -> Activations:
    """Activations (frames, 2) of a 44.1 kHz WAV file, after Böck, Krebs and Widmer (ISMIR 2016).

    Memory does not grow with the file beyond the activations themselves (800 bytes a second). Raises ModelUnavailable.
    """
    network = downbeat_network()
    total = -(-soundfile.info(path).frames // _HOP)
    block, context = round(block_sec * FPS), round(context_sec * FPS)
    parts = []
    for start in range(0, total, block):
        progress(start / total, f"beat activations, {start // FPS} of {total // FPS} s")
        stop = min(start + block, total)
        first = max(0, start - context)
        samples = read_stereo(path, start=first * _HOP, frames=(min(stop + context, total) - first) * _HOP).mean(axis=0)
        parts.append(_frames(network, samples)[start - first : stop - first])
    progress(1.0)
    return np.concatenate(parts) if parts else np.zeros((0, 2), np.float32)


def downbeat_network() -> Any:
    """madmom's RNNDownBeatProcessor, loaded once per process."""
    models.obtain("madmom")

    def load() -> Any:
        from madmom.features.downbeats import RNNDownBeatProcessor

        network = RNNDownBeatProcessor(intra_op_num_threads=threads())
        quieten(network)
        return network

    return models.load_once(("madmom", "downbeats", threads()), load)


def quieten(processor: Any) -> None:
    """Keep ONNX Runtime's warnings about madmom's networks (wrong output shapes in their metadata, harmless) off the terminal."""
    import onnxruntime

    runtime = getattr(processor, "_runtime", None)
    if runtime is not None:
        options = runtime.session_options
        options.log_severity_level = 3  # errors; can only be chosen when a session is made
        runtime.session = onnxruntime.InferenceSession(runtime._model_source, sess_options=options, providers=runtime.providers)
    for part in getattr(processor, "processors", ()):
        quieten(part)


def _frames(network: Any, samples: npt.NDArray[np.float32]) -> Activations:
    from madmom.audio.signal import Signal

    # A network cannot say anything about less than a few frames, and its layers squeeze a single one away.
    shortest = 8 * _HOP
    padded = np.pad(samples, (0, max(0, shortest - len(samples))))
    activation = np.asarray(network(Signal(padded, sample_rate=SAMPLE_RATE, num_channels=1)), dtype=np.float32)
    return activation.reshape(-1, 2)
