"""Which kind a chord is, and over which bass: decided again for each chord that was heard, by the tones that sound in it.

The large-vocabulary networks were trained on songs whose chords are nearly all major, minor and their sevenths; suspended, augmented,
diminished chords and major sevenths come out as the plain triad beside them. So each label of the vocabulary is weighed for each chord that
was heard: by how far it agrees with what the networks say and how sure they are, by what sounds on its tones and beside them, by the bass,
and by how common its kind is. It is a log-linear model (a softmax over the labels); `learnt.py` has its weights.

Conventions: a chroma counts from C, is compressed (log) and compared in direction alone, its mean taken out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.chords.learnt import KindWeights
from tasks.chords.lv_vocabulary import CHORD_TYPES, make_vocabulary
from tasks.common.audio import read_mono
from tasks.common.calibration import logit
from tasks.common.constant_q import CqtShape, chroma
from tasks.common.harmony.harte import semitones, tones
from tasks.common.tuning import tuning_of

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

#: In what a label may agree with the one that was heard.
AGREEMENTS: Final = ("root", "triad", "quality", "label", "pitch classes")
#: What a pitch class may be to a chord: one of its tones, or none of them.
ROLES: Final = ("root", "third", "suspension", "fifth", "altered fifth", "sixth", "seventh", "extension", "no tone")
#: The same for what sounds low: the chord's bass, its root, what is none of its tones.
BASS_ROLES: Final = ("bass", "root", "no tone")
#: Six octaves from E1, and the lower two of them.
_TREBLE: Final = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=216, bins_per_octave=36)
_BASS: Final = CqtShape(sample_rate=11025, hop=512, lowest_midi=28, bins=72, bins_per_octave=36)
_FPS: Final = _TREBLE.sample_rate / _TREBLE.hop
_COMPRESSION: Final = 20.0
#: The beginning and the end of a chord are left out (s): changes are heard some hundredths of a second off.
_EDGES_SEC: Final = (0.05, 0.02)
#: No belief is taken for surer than this.
_LEAST: Final = 0.02


@dataclass(frozen=True)
class ToneLevels:
    """treble, bass: (12, frames) compressed levels of the pitch classes from C, `_FPS` frames a second."""

    treble: Floats
    bass: Floats

    def between(self, start: float, end: float) -> tuple[Floats, Floats]:
        """(12,), (12,) the directions of the mean levels between two times (s): of unit length before their mean was taken out."""
        first = min(int(np.ceil((start + _EDGES_SEC[0]) * _FPS)), self.treble.shape[1] - 1)
        stop = max(int((end - _EDGES_SEC[1]) * _FPS), first + 1)
        treble, bass = (_direction(levels[:, first:stop].mean(axis=1)) for levels in (self.treble, self.bass))
        return treble, bass


def _direction(levels: Floats) -> Floats:
    unit = levels / max(float(np.linalg.norm(levels)), 1e-6)
    centred: Floats = unit - unit.mean()
    return centred


def tone_levels(path: Path) -> ToneLevels:
    """What sounds in a WAV file, in the song's own tuning."""
    mono = read_mono(path, _TREBLE.sample_rate)
    mono = np.pad(mono, (0, max(0, _TREBLE.sample_rate - len(mono))))
    tuning = tuning_of(path) * _TREBLE.bins_per_octave / 12
    treble, bass = (chroma(mono, shape, tuning) for shape in (_TREBLE, _BASS))
    frames = min(treble.shape[1], bass.shape[1])
    return ToneLevels(compressed(treble[:, :frames]), compressed(bass[:, :frames]))


def compressed(energy: npt.NDArray[np.floating]) -> Floats:
    """Levels of a chroma (12, frames), by how far they lie below the loudest of the song."""
    values = energy.astype(np.float64)
    levels: Floats = np.log1p(_COMPRESSION * values / max(float(np.percentile(values, 99)), 1e-9))
    return levels


@functools.lru_cache(maxsize=1)
def labels() -> tuple[str, ...]:
    """The labels that are weighed, those of the large vocabulary: none, then each kind on each root."""
    return make_vocabulary().labels


@functools.lru_cache(maxsize=1)
def roles() -> tuple[Floats, Floats]:
    """(kinds, 12, ROLES), (kinds, 12, BASS_ROLES): what each semitone above the root is to each kind, 0 or 1."""
    treble, bass = np.zeros((len(CHORD_TYPES), 12, len(ROLES))), np.zeros((len(CHORD_TYPES), 12, len(BASS_ROLES)))
    for number, kind in enumerate(CHORD_TYPES):
        quality, _, lowest = kind.partition("/")
        own = {tone % 12: tone for tone in tones(quality)}
        for step in range(12):
            treble[number, step, ROLES.index(_role(quality, own.get(step)))] = 1.0
            bass[number, step, BASS_ROLES.index("no tone")] = float(step not in own)
        bass[number, semitones(lowest) if lowest else 0, BASS_ROLES.index("bass")] = 1.0
        bass[number, 0, BASS_ROLES.index("root")] = 1.0
    return treble, bass


def _role(quality: str, tone: int | None) -> str:
    if tone is None:
        return "no tone"
    if tone > 12:
        return "extension"
    names = {0: "root", 2: "suspension", 3: "third", 4: "third", 5: "suspension", 7: "fifth", 6: "altered fifth", 8: "altered fifth"}
    return names.get(tone) or ("sixth" if tone == 9 and quality != "dim7" else "seventh")


@functools.lru_cache(maxsize=1)
def agreements() -> npt.NDArray[np.float32]:
    """(K, K, AGREEMENTS): in what each label agrees with each that was heard, 0 or 1."""
    root = np.array([-1, *np.tile(np.arange(12), len(CHORD_TYPES))])
    named = ["", *(kind.partition("/")[0] for kind in CHORD_TYPES for _ in range(12))]
    classes = [frozenset((root[i] + tone) % 12 for tone in tones(name)) if i else frozenset() for i, name in enumerate(named)]
    same = np.stack([_same(column) for column in (root, [_triad(name) for name in named], named, list(labels()), classes)], axis=-1)
    same[..., 1] &= same[..., 0]
    same[..., 2] &= same[..., 0]
    return same.astype(np.float32)


def _same(values: Sequence[object] | npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(n, n) which of n values are equal."""
    numbers: dict[object, int] = {}
    index = np.array([numbers.setdefault(value, len(numbers)) for value in values])
    equal: npt.NDArray[np.bool_] = index[:, None] == index[None]
    return equal


def _triad(quality: str) -> frozenset[int]:
    """The tones of a quality up to its fifth."""
    return frozenset(tone for tone in tones(quality) if tone <= 8) if quality else frozenset()


def on_each_root(direction: Floats) -> Floats:
    """(..., 12 roots, 12) a chroma (..., 12) counted from each root."""
    return np.stack([np.roll(direction, -root, axis=-1) for root in range(12)], axis=-2)


def log_odds(belief: npt.ArrayLike) -> Floats:
    """How sure what was heard is, as the weights count it."""
    return logit(belief, _LEAST)


def scores(heard: Classes, belief: Floats, treble: Floats, bass: Floats, weights: KindWeights) -> Floats:
    """(n, K) nats of each label for n chords.

    heard: (n,) the label that the networks heard, and belief: (n,) how sure they were. treble, bass: (n, 12) directions of what sounds.
    """
    in_treble, in_bass = roles()
    agree = agreements()[heard]
    by_networks = agree @ weights.agreement + (agree @ weights.by_certainty) * log_odds(belief)[:, None]
    by_tones = on_each_root(treble) @ (in_treble @ weights.treble).T + on_each_root(bass) @ (in_bass @ weights.bass).T
    each = np.swapaxes(by_tones, 1, 2) + weights.kinds[None, :-1, None]  # (n, kinds, roots)
    found: Floats = by_networks
    found[:, 0] += weights.kinds[-1]
    found[:, 1:] += each.reshape(len(heard), -1)
    return found


def beliefs(scored: Floats) -> Floats:
    """(n, K) the probability of each label, from scores."""
    found: Floats = np.exp(scored - scored.max(axis=1, keepdims=True))
    found /= found.sum(axis=1, keepdims=True)
    return found
