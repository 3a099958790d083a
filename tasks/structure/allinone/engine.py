"""What the network says of a song: the mean over the eight published folds, at 100 frames a second."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from schemas.results import StemName
from tasks.common import models
from tasks.common.errors import ModelCorrupt
from tasks.common.networks.madmom_support import SHORTEST_FRAMES
from tasks.common.networks.side_by_side import side_by_side
from tasks.common.progress import Progress, part_of, silent
from tasks.common.resources import threads
from tasks.common.spectra import FPS, HOP, Shape, log_spectra
from tasks.structure.allinone.contract import BANDS, FUNCTIONS, INSTRUMENTS

Floats = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.float32]

MODEL = "all-in-one"

#: The published front end (Kim and Nam 2023, section 4.2).
SPECTRUM = Shape(frame_size=2048, bands=12)

#: A longer song is read in windows of so many seconds, of which the outer ones only give context: the farthest a block attends is 41 s.
_WINDOW_SEC = 600
_CONTEXT_SEC = 60


@dataclass(frozen=True)
class Activations:
    """Probabilities of each frame; frame i is centred on i / FPS s."""

    beat: Floats  # (frames,)
    downbeat: Floats  # (frames,)
    section: Floats  # (frames,) that a section begins here
    function: Floats  # (functions, frames), in the order of network.FUNCTIONS


def infer(stems: Mapping[StemName, Path], device: str = "cpu", size: float = 1.0, progress: Progress = silent) -> Activations:
    """All-In-One on a song's four stems (44.1 kHz WAV files). size: see `window_frames`. Raises ModelUnavailable, ModelCorrupt."""
    import torch

    torch.set_num_threads(threads())
    networks = load(device, part_of(progress, 0.0, 0.05))
    spectra = stem_spectra(stems, part_of(progress, 0.05, 0.3))
    frames = spectra.shape[1]
    activations = np.zeros((3 + len(FUNCTIONS), frames), np.float32)
    spans = list(windows(frames, window_frames(frames, size), _CONTEXT_SEC * FPS))
    done = 0
    with torch.inference_mode():
        for first, start, stop, last in spans:
            part = torch.from_numpy(spectra[:, first:last]).to(device)
            total: Any = 0
            for logits in side_by_side(_in_turn(networks, part), part, device):
                done += 1
                progress(0.3 + 0.7 * done / (len(spans) * len(networks)), "sections")
                total = total + torch.cat([torch.stack([logits.beat, logits.downbeat, logits.section]), logits.function])
            mean = total / len(networks)
            probabilities = torch.cat([mean[:3].sigmoid(), mean[3:].softmax(dim=0)])
            activations[:, start:stop] = probabilities[:, start - first : stop - first].cpu().numpy()
    progress(1.0)
    return Activations(activations[0], activations[1], activations[2], activations[3:])


def _in_turn(networks: Sequence[Any], spectra: Any) -> list[Callable[[Any], Any]]:
    """The networks, each of which takes the memory of one that is done."""
    from tasks.common.networks.tensor_buffers import BufferPool

    pool = BufferPool(spectra)

    def with_buffers(network: Any) -> Callable[[Any], Any]:
        def run(part: Any) -> Any:
            with pool.one() as buffers:
                return network(part, buffers)

        return run

    return [with_buffers(network) for network in networks]


def window_frames(frames: int, size: float) -> int:
    """Length of the windows over a song of so many frames: `size` of the usual one, and not so short that it is mostly context."""
    return max(round(size * min(frames, _WINDOW_SEC * FPS)), 3 * _CONTEXT_SEC * FPS) if size < 1.0 else _WINDOW_SEC * FPS


def windows(frames: int, length: int, context: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, start, stop, last) of each window over `frames`: [first, last) is read, [start, stop) kept. The kept parts tile the song."""
    if frames <= length:
        yield 0, 0, frames, frames
        return
    own = length - 2 * context
    count = -(-frames // own)
    for number in range(count):
        start, stop = frames * number // count, frames * (number + 1) // count
        yield max(0, start - context), start, stop, min(frames, stop + context)


def stem_spectra(stems: Mapping[StemName, Path], progress: Progress = silent) -> Spectra:
    """(instruments, frames, BANDS) log spectra in the network's order: twelve bands an octave from 30 Hz to 17 kHz, log10(1 + x)."""
    frames = max(-(-soundfile.info(stems[name]).frames // HOP) for name in INSTRUMENTS)
    spectra = np.zeros((len(INSTRUMENTS), max(frames, SHORTEST_FRAMES), BANDS), np.float32)
    for number, name in enumerate(INSTRUMENTS):
        share = part_of(progress, number / len(INSTRUMENTS), (number + 1) / len(INSTRUMENTS))
        (found,) = log_spectra(stems[name], [SPECTRUM], share)
        spectra[number, : len(found)] = found
    return spectra


def load(device: str, progress: Progress = silent) -> tuple[Any, ...]:
    """The networks of the eight folds, loaded once per process and device. Raises ModelUnavailable, ModelCorrupt."""
    folder = models.obtain(MODEL, progress)

    def build() -> tuple[Any, ...]:
        import torch

        from tasks.structure.allinone.network import AllInOne

        networks = []
        for file in models.get(MODEL).files:
            network = AllInOne()
            try:
                checkpoint = torch.load(folder / file.name, map_location="cpu", weights_only=True)
                network.load_state_dict(checkpoint["state_dict"])
            except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
                raise ModelCorrupt(f"{file.name} holds no weights of All-In-One") from error
            networks.append(network.eval().to(device))
        return tuple(networks)

    return models.load_once((MODEL, str(folder), device), build)
