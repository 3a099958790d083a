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

from tasks.common import models
from tasks.common.networks.madmom_support import SHORTEST_FRAMES, quieten
from tasks.common.progress import Progress, part_of, silent
from tasks.common.resources import threads
from tasks.common.spectra import Features, Shape, log_spectra, rises

Activations = npt.NDArray[np.float32]

SPECTRA = (Shape(1024, 3), Shape(2048, 6), Shape(4096, 12))


@dataclass(frozen=True)
class DownbeatNetworks:
    """The ensemble. The networks keep state while they run: one caller at a time."""

    networks: tuple[Any, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)


def beat_activations(path: Path, progress: Progress = silent, networks: int | None = None) -> Activations:
    """Activations (frames, 2) of a 44.1 kHz WAV file, after Böck, Krebs and Widmer (ISMIR 2016).

    networks: so many of the ensemble's eight. Memory: some 1.3 kB of features a frame, and the networks' layers, one network at a time.
    Raises ModelUnavailable.
    """
    ensemble = downbeat_networks()
    features = spectral_features(path, part_of(progress, 0.0, 0.4))
    if len(features) == 0:
        return np.zeros((0, 2), np.float32)
    padded = np.pad(features, ((0, max(0, SHORTEST_FRAMES - len(features))), (0, 0)))
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


def spectral_features(path: Path, progress: Progress = silent) -> Features:
    """(frames, 314): log spectra of three resolutions, each with what has risen in it."""
    found = log_spectra(path, SPECTRA, progress)
    return np.hstack([part for spectra, shape in zip(found, SPECTRA, strict=True) for part in (spectra, rises(spectra, shape))])


def downbeat_networks() -> DownbeatNetworks:
    """The networks of madmom's RNNDownBeatProcessor, loaded once per process. Raises ModelUnavailable."""
    models.obtain("madmom")

    def load() -> DownbeatNetworks:
        from madmom.features.downbeats import RNNDownBeatProcessor

        _, ensemble, _ = RNNDownBeatProcessor(intra_op_num_threads=threads()).processors
        quieten(ensemble)
        return DownbeatNetworks(tuple(ensemble.processors[0].processors))

    return models.load_once(("madmom", "downbeats", threads()), load)
