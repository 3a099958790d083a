"""The small networks that weigh the evidence on beats, bars and keys: what they are made of, and where their weights lie.

The weights were learnt on annotated songs of the *choose* part (`tests/performance/learning`, which writes `learnt.json`), never on a song
that a committed figure is measured on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FILE: Final = Path(__file__).with_name("learnt.json")
#: No feature is believed to be further from its mean than so many standard deviations.
_MOST: Final = 4.0
_NETWORKS: Final = ("pulse", "bars", "key")


@dataclass(frozen=True)
class Network:
    """One hidden layer: standardised features (..., n) to one score. Several of them vote."""

    mean: Floats
    deviation: Floats
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: Floats

    def scores(self, features: Floats) -> Floats:
        """(members, rows) the score each member gives each row of features (rows, n)."""
        standard = np.clip((features - self.mean) / self.deviation, -_MOST, _MOST)
        inner = np.tanh(np.einsum("rn,mhn->mrh", standard, self.hidden) + self.hidden_bias[:, None, :])
        found: Floats = np.einsum("mrh,mh->mr", inner, self.output) + self.output_bias[:, None]
        return found

    def as_json(self) -> dict[str, Any]:
        return {name: np.round(value, 5).tolist() for name, value in vars(self).items()}


@functools.lru_cache(maxsize=1)
def networks() -> Mapping[str, Network]:
    """The networks by what they decide: `pulse`, `bars`, `key`."""
    return {name: Network(**{part: np.array(value, np.float64) for part, value in _read()[name].items()}) for name in _NETWORKS}


@functools.lru_cache(maxsize=1)
def chords_in_key() -> Floats:
    """(2, 12, kinds) of the time in major and in minor, the share of each degree and kind of chord."""
    return np.array(_read()["chords_in_key"], np.float64)


@functools.lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def forget() -> None:
    """Read the weights again when they are next needed: they were written anew."""
    for read in (networks, chords_in_key, _read):
        read.cache_clear()
