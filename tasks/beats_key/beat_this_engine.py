"""Beat This: the network of Foscarin, Schlüter and Widmer (ISMIR 2024), whose weights are MIT.

The published package `beat-this` (CPJKU/beat_this 1.1.0, MIT) is not needed: it asks for torchaudio, whose published builds for Linux
cannot be imported beside a torch without CUDA. What is computed is the same: the log mel spectrogram, chunks of 30 s whose outermost frames
are dropped, in 32-bit floats on every device, as the package does unless it is told otherwise.

Conventions: the network's frames are 1/50 s apart, frame i is centred on i / 50 s. `beat_activations` gives what that of `activations`
does, at 100 frames a second, so that the bar model has the tempi, and its constants the frames, that they were chosen with.
"""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tasks.common import models
from tasks.common.audio import read_mono
from tasks.common.errors import ModelCorrupt
from tasks.common.progress import Progress, part_of, silent
from tasks.common.resources import threads
from tasks.common.spectra import FPS

if TYPE_CHECKING:
    import torch

    from tasks.beats_key.beat_this_network import BeatThis

Activations = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]

MODEL: Final = "beat-this"

#: The published front end: magnitudes of frames of `FRAME_SIZE` samples in mel bands (Slaney's scale, triangles of height 1), of which the
#: logarithm is log(1 + 1000 x).
SAMPLE_RATE: Final = 22050
HOP: Final = 441
FRAME_SIZE: Final = 1024
BANDS: Final = 128
_RANGE_HZ: Final = (30.0, 11000.0)
_LOG_FACTOR: Final = 1000.0
NETWORK_FPS: Final = SAMPLE_RATE // HOP

#: Frames of a chunk, what the network was trained on, and those at its either end that are dropped: they were never trained.
CHUNK_FRAMES: Final = 1500
BORDER_FRAMES: Final = 6
#: Frames of which the spectrogram is made at a time.
_BLOCK_FRAMES: Final = 4096


@dataclass(frozen=True)
class Loaded:
    """The network on its device. It keeps no state between runs, but shares the device: one caller at a time."""

    network: BeatThis
    device: str
    lock: threading.Lock = field(default_factory=threading.Lock)


def beat_activations(path: Path, device: str = "cpu", size: float = 1.0, progress: Progress = silent) -> Activations:
    """Activations (frames, 2) of a WAV file at 100 frames a second: of "beat that is no downbeat", and of "downbeat".

    size: length of a chunk as a share of the usual one. Raises ModelUnavailable, ModelCorrupt.
    """
    return activations_of(beat_logits(path, device, size, progress))


def beat_logits(path: Path, device: str = "cpu", size: float = 1.0, progress: Progress = silent) -> Logits:
    """Logits (frames, 2) of a WAV file at 50 frames a second: of "beat, downbeat or not", and of "downbeat".

    Memory: the song at 22.05 kHz, its spectrogram (128 bands of 32-bit floats a frame), and the network's layers of one chunk.
    Raises ModelUnavailable, ModelCorrupt.
    """
    import torch

    torch.set_num_threads(threads())
    loaded = load(device)
    spectrogram = log_mel(read_mono(path, SAMPLE_RATE))
    progress(0.1, "beat activations")
    with loaded.lock:
        return logits_of(spectrogram, loaded, round(size * CHUNK_FRAMES), part_of(progress, 0.1, 1.0))


def activations_of(logits: Logits) -> Activations:
    """Activations (2 frames - 1, 2) from the network's logits (frames, 2), with a frame between each two.

    A beat's probability is that of any beat; what is left of it without the downbeat's is the probability of a beat that is none, as the
    package has it for its own bar model. The frames between are on a cubic spline through the logits, where a beat's time between frames is
    told best: on bumps of a known time (standard deviation 12 to 30 ms) it is off by 0.2 to 1.4 ms in the mean, on straight lines between
    the probabilities by 2.3 to 4.3 ms, and at 50 frames a second by 0.4 to 3.5 ms.
    """
    from scipy.interpolate import CubicSpline
    from scipy.special import expit

    frames = len(logits)
    if frames > 1:
        spline = CubicSpline(np.arange(frames), logits.astype(np.float64))
        logits = spline(np.arange(2 * frames - 1) * (NETWORK_FPS / FPS))
    any_beat, downbeat = expit(logits).T
    return np.column_stack([np.maximum(any_beat - downbeat, 0.0), downbeat]).astype(np.float32)


def logits_of(spectrogram: torch.Tensor, loaded: Loaded, chunk_frames: int = CHUNK_FRAMES, progress: Progress = silent) -> Logits:
    """Logits (frames, 2) of a log mel spectrogram (frames, 128), heard in chunks. Where two chunks overlap, the earlier one counts.

    The last chunk ends with the song; at both ends of it, silence stands for the frames that are dropped.
    """
    import torch

    total = len(spectrogram)
    found = np.zeros((total, 2), np.float32)
    padded = torch.nn.functional.pad(spectrogram, (0, 0, BORDER_FRAMES, BORDER_FRAMES))
    heard = 0
    with torch.inference_mode():
        while heard < total:
            start = max(0, min(heard, total - (chunk_frames - 2 * BORDER_FRAMES)))
            chunk = padded[start : start + chunk_frames].to(loaded.device)
            answer = loaded.network(chunk)[BORDER_FRAMES:-BORDER_FRAMES].float().cpu().numpy()
            found[heard : start + len(answer)] = answer[heard - start :]
            heard = start + len(answer)
            progress(heard / total, f"beat activations, {heard / NETWORK_FPS:.0f} of {total / NETWORK_FPS:.0f} s")
    return found


def log_mel(samples: npt.NDArray[np.float32]) -> torch.Tensor:
    """The network's spectrogram (frames, 128) of mono sound at 22.05 kHz: a frame every 441 samples, from one centred on the first on.

    The sound goes on beyond its ends as in a mirror; what is too short for that is silent there.
    """
    import torch

    margin = FRAME_SIZE // 2
    frames = 1 + len(samples) // HOP
    padded = np.pad(samples, margin, mode="reflect" if len(samples) > margin else "constant")
    padded = np.pad(padded, (0, max(0, (frames - 1) * HOP + FRAME_SIZE - len(padded))))
    windows = torch.from_numpy(padded).unfold(0, FRAME_SIZE, HOP)[:frames]
    window, bands = torch.hann_window(FRAME_SIZE), torch.from_numpy(mel_bands())
    parts = []
    for first in range(0, frames, _BLOCK_FRAMES):
        magnitudes = torch.fft.rfft(windows[first : first + _BLOCK_FRAMES] * window).abs() / FRAME_SIZE**0.5
        parts.append(torch.log1p(_LOG_FACTOR * (magnitudes @ bands)))
    return torch.cat(parts)


def mel_bands() -> npt.NDArray[np.float32]:
    """Weights (513, 128) of the frequencies in the mel bands: triangles from one band's centre to those beside it, on Slaney's scale."""
    lowest, highest = (_to_mel(hz) for hz in _RANGE_HZ)
    edges = _to_hz(np.linspace(lowest, highest, BANDS + 2))
    frequencies = np.fft.rfftfreq(FRAME_SIZE, 1 / SAMPLE_RATE)
    widths = np.diff(edges)
    rising = (frequencies[:, None] - edges[None, :-2]) / widths[:-1]
    falling = (edges[None, 2:] - frequencies[:, None]) / widths[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


#: Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above.
_LINEAR_HZ, _BREAK_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < _BREAK_HZ else float(_BREAK_HZ / _LINEAR_HZ + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    beyond = mel - _BREAK_HZ / _LINEAR_HZ
    return np.where(beyond < 0, mel * _LINEAR_HZ, _BREAK_HZ * np.exp(np.maximum(beyond, 0.0) * _LOG_STEP))


def load(device: str = "cpu") -> Loaded:
    """The network, loaded once per process and device. Raises ModelUnavailable, ModelCorrupt."""
    folder = models.obtain(MODEL)
    return models.load_once((MODEL, str(folder), device), lambda: Loaded(_load(folder).to(device), device))


def _load(folder: Path) -> Any:
    import torch

    from tasks.beats_key.beat_this_network import network_of

    file = folder / models.get(MODEL).files[0].name
    try:
        return network_of(torch.load(file, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, RuntimeError) as error:
        raise ModelCorrupt(f"{file} is no checkpoint of Beat This: {error}") from error
