"""Key signatures. Pure."""

from __future__ import annotations

from typing import Final

from schemas.song_map import Key
from tasks.common.harmony.spelling import pitch_class, place_of, tonic_name

_MOST: Final = 7
#: A minor key has the signature of the major key three places further on.
_MINOR: Final = 3


def fifths_of(key: Key) -> int:
    """How many sharps a key's signature has, flats negative; of a key that would need more than seven, those of its other name."""
    fifths = _fifths(key.tonic, key.mode)
    return fifths if abs(fifths) <= _MOST else _fifths(tonic_name(pitch_class(key.tonic), key.mode), key.mode)


def _fifths(tonic: str, mode: str) -> int:
    return place_of(tonic) - (_MINOR if mode == "minor" else 0)
