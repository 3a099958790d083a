"""Major and minor chords by madmom: convolutional features and a conditional random field.

Source: Korzeniowski and Widmer, "A fully convolutional deep auditory model for musical chord recognition" (MLSP 2016). madmom gives the
best sequence alone; here the field's potentials are kept, so that its beliefs are known too.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.chords.posteriors import ChordPosteriors, normalise_rows
from tasks.common import models
from tasks.common.audio import SAMPLE_RATE, read_stereo
from tasks.common.errors import ModelCorrupt
from tasks.common.harmony.harte import NO_CHORD
from tasks.common.networks.madmom_support import quieten
from tasks.common.progress import Progress, silent
from tasks.common.tuning import in_tune, stretch, tuning_of

HOP: Final = 4410  # 10 frames per second
BLOCK_FRAMES: Final = 600
#: More than the network's reach: 11 frames of padding and 3 of averaging.
CONTEXT_FRAMES: Final = 20
#: The field's classes: major, then minor, from A; then none.
_ROOTS: Final = ("A", "Bb", "B", "C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab")
LABELS: Final = (*(f"{root}:maj" for root in _ROOTS), *(f"{root}:min" for root in _ROOTS), NO_CHORD)

_FIELD_FILE: Final = "chords/2016/chords_cnncrf.pkl"
#: All that the field's pickle is made of.
_ALLOWED: Final = {
    ("madmom.ml.crf", "ConditionalRandomField"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


@dataclass(frozen=True)
class ChordNetwork:
    """features: madmom's processor from a signal to (frames, 128). field: its conditional random field over the 25 classes."""

    features: Any
    field: Any


def infer(path: Path, progress: Progress = silent) -> ChordPosteriors:
    """Posteriors of a 44.1 kHz WAV file over the major and minor chords, heard at A440. Raises ModelUnavailable."""
    import soundfile

    network = load_network()
    tuning = tuning_of(path)
    # The network has no tuning of its own: the song is played to it slower or faster.
    hop = HOP / stretch(tuning)
    total = max(1, math.ceil(soundfile.info(path).frames / hop))
    log_probs = np.empty((total, len(LABELS)), np.float32)
    for start in range(0, total, BLOCK_FRAMES):
        progress(start / total, "chord features")
        stop, first = min(start + BLOCK_FRAMES, total), max(0, start - CONTEXT_FRAMES)
        heard = min(stop + CONTEXT_FRAMES, total) - first
        samples = in_tune(read_stereo(path, start=round(first * hop), frames=round(heard * hop)).mean(axis=0), tuning)[: heard * HOP]
        samples = np.pad(samples, (0, heard * HOP - len(samples)))
        log_probs[start:stop] = _potentials(network, samples)[start - first : stop - first]
    progress(1.0)
    return ChordPosteriors(LABELS, normalise_rows(log_probs), hop / SAMPLE_RATE, change_cost(network.field.A), "madmom")


def change_cost(transitions: npt.NDArray[np.float64]) -> float:
    """What the field itself charges for a change on average (nats)."""
    classes = len(transitions)
    stay = float(np.trace(transitions)) / classes
    change = (float(transitions.sum()) - float(np.trace(transitions))) / (classes * (classes - 1))
    return stay - change


def load_network() -> ChordNetwork:
    """madmom's feature network and field, loaded once per process. Raises ModelUnavailable, ModelCorrupt."""
    folder = models.obtain("madmom")

    def load() -> ChordNetwork:
        from madmom.features.chords import CNNChordFeatureProcessor

        features = CNNChordFeatureProcessor()
        quieten(features)
        return ChordNetwork(features, load_field(folder / _FIELD_FILE))

    return models.load_once(("madmom", "chords"), load)


def load_field(file: Path) -> Any:
    """Unpickle a conditional random field, and nothing else. Raises ModelCorrupt."""
    try:
        return _FieldUnpickler(io.BytesIO(file.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise ModelCorrupt(f"{file} is not a chord model: {error}") from error


class _FieldUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _potentials(network: ChordNetwork, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    from madmom.audio.signal import Signal

    features = np.asarray(network.features(Signal(samples, sample_rate=SAMPLE_RATE, num_channels=1)))
    found: npt.NDArray[np.float32] = (features @ network.field.W + network.field.c).astype(np.float32)
    return found
