"""The chords that the large-vocabulary model can name, and how they follow from what its networks say.

The networks do not know chords but their parts: a triad on a root, a bass note, and whether a seventh, ninth, eleventh and thirteenth are
added. A chord's likelihood is the product of its parts' (Jiang, Chen, Li and Xia, ISMIR 2019), so that any combination can be named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.chords.posteriors import LogProbabilities, normalise_rows
from tasks.common.harmony.harte import NO_CHORD

#: Qualities and inversions, on each of twelve roots.
CHORD_TYPES: Final = (
    *("maj", "min", "dim", "aug", "sus2", "sus4", "sus4(b7)"),
    *("7", "maj7", "min7", "minmaj7", "dim7", "hdim7", "maj6", "min6"),
    *("9", "maj9", "min9", "maj(9)", "min(9)", "11", "13"),
    *("maj/3", "maj/5", "maj/2", "maj/b7", "min/b3", "min/5", "min/2", "min/b7"),
    *("7/3", "7/5", "7/b7", "maj7/3", "maj7/5", "maj7/7", "min7/b3", "min7/5", "min7/b7"),
)
_ROOTS: Final = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_TRIADS: Final = {"maj": 1, "min": 2, "sus4": 3, "sus2": 4, "dim": 5, "aug": 6}
#: What each shorthand adds to its triad: classes of the networks' four outputs for seventh, ninth, eleventh and thirteenth.
_SHORTHANDS: Final = {
    "7": ("maj", 2, 0, 0, 0),
    "maj7": ("maj", 1, 0, 0, 0),
    "min7": ("min", 2, 0, 0, 0),
    "minmaj7": ("min", 1, 0, 0, 0),
    "dim7": ("dim", 3, 0, 0, 0),
    "hdim7": ("dim", 2, 0, 0, 0),
    "maj6": ("maj", 0, 0, 0, 1),
    "min6": ("min", 0, 0, 0, 1),
    "9": ("maj", 2, 1, 0, 0),
    "maj9": ("maj", 1, 1, 0, 0),
    "min9": ("min", 2, 1, 0, 0),
    "maj(9)": ("maj", 0, 1, 0, 0),
    "min(9)": ("min", 0, 1, 0, 0),
    "11": ("maj", 2, 1, 1, 0),
    "13": ("maj", 2, 1, 1, 1),
    "sus4(b7)": ("sus4", 2, 0, 0, 0),
}
_BASS_SEMITONES: Final = {"": 0, "2": 2, "b3": 3, "3": 4, "5": 7, "b7": 10, "7": 11}
#: Columns of a network's output: triad (none, then twelve roots of each), bass (none, then twelve), and the four additions.
WIDTHS: Final = (73, 13, 4, 4, 3, 3)
_OFFSETS: Final = tuple(int(offset) for offset in np.cumsum((0, *WIDTHS[:-1])))


@dataclass(frozen=True)
class Vocabulary:
    """labels: (K,) Harte labels. columns: (K, 6) the output columns whose log probabilities add up to a chord's."""

    labels: tuple[str, ...]
    columns: npt.NDArray[np.int64]


def make_vocabulary(types: tuple[str, ...] = CHORD_TYPES) -> Vocabulary:
    """No chord, and every type on every root."""
    labels = [NO_CHORD] + [f"{root}:{kind}" for kind in types for root in _ROOTS]
    # Without a chord there is no triad and no bass, and the additions mean nothing: the last column of the scores is always 0.
    nothing = sum(WIDTHS)
    columns: list[tuple[int, ...]] = [(0, _OFFSETS[1], nothing, nothing, nothing, nothing)]
    columns += [_columns(root, kind) for kind in types for root in range(12)]
    return Vocabulary(tuple(labels), np.array(columns))


def chord_log_probs(outputs: npt.NDArray[np.float32], vocabulary: Vocabulary) -> LogProbabilities:
    """Log probabilities (frames, K) of chords from probabilities (frames, 100) of their parts, the networks' outputs side by side."""
    parts = np.log(np.maximum(outputs, 1e-12))
    parts = np.concatenate([parts, np.zeros((len(parts), 1), parts.dtype)], axis=1)
    scores = parts[:, vocabulary.columns[:, 0]]
    for part in range(1, vocabulary.columns.shape[1]):
        scores += parts[:, vocabulary.columns[:, part]]
    return normalise_rows(scores)


def _columns(root: int, kind: str) -> tuple[int, ...]:
    quality, _, bass = kind.partition("/")
    triad, *additions = _SHORTHANDS.get(quality, (quality, 0, 0, 0, 0))
    classes = (1 + 12 * (_TRIADS[str(triad)] - 1) + root, 1 + (root + _BASS_SEMITONES[bass]) % 12, *additions)
    return tuple(offset + int(part) for offset, part in zip(_OFFSETS, classes, strict=True))
