"""What every use of madmom needs: its feature chains over files of any length, block by block, and networks that are quiet and give back
their memory.

Frame i of 100 a second is centred on i / 100 s. Blocks are computed with context on both sides, so that the result is that of one run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.progress import Progress, silent

Features = npt.NDArray[np.float32]

FPS = 100
HOP = SAMPLE_RATE // FPS
#: A block's own frames, and what is computed before and after it: more than the longest window (93 ms) and the reach of the differences.
BLOCK_SEC = 30.0
CONTEXT_SEC = 1.0
#: No network says anything about fewer frames.
SHORTEST_FRAMES = 8


def features_in_blocks(
    path: Path, front_end: Any, progress: Progress = silent, block_sec: float = BLOCK_SEC, context_sec: float = CONTEXT_SEC
) -> Features:
    """(frames, features) of the mono sum of a 44.1 kHz WAV file. front_end: a madmom processor, from a signal to frames."""
    from madmom.audio.signal import Signal

    total = -(-soundfile.info(path).frames // HOP)
    block, context = round(block_sec * FPS), round(context_sec * FPS)
    features: Features = np.zeros((0, 0), np.float32)
    for start in range(0, total, block):
        progress(start / total, "spectra")
        stop = min(start + block, total)
        first = max(0, start - context)
        samples = read_stereo(path, start=first * HOP, frames=(min(stop + context, total) - first) * HOP).mean(axis=0)
        # The differences reach back some frames and need more than one.
        padded = np.pad(samples, (0, max(0, SHORTEST_FRAMES * HOP - len(samples))))
        part = np.asarray(front_end(Signal(padded, sample_rate=SAMPLE_RATE, num_channels=1)), dtype=np.float32)
        if start == 0:
            features = np.empty((total, part.shape[1]), np.float32)
        features[start:stop] = part[start - first : stop - first]
    return features


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
