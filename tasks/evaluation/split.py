"""Which songs constants may be chosen on, and which they are only checked on: fixed once, here, before anything was measured.

A *group* is what must stay together: the style of a made song, the song behind several renderings, the songs of one composer's program.
Its name's hash decides, so that a song that is added later has its place already and no list can be edited to flatter.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, get_args

#: The first number under which both halves have swing, waltzes, shuffles, odd meters, metal and loops; found before anything was measured.
_SALT: Final = 672
Split = Literal["choose", "check"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


def split_of(dataset: str, group: str) -> Split:
    """`choose` or `check`, each for about half of the groups."""
    digest = hashlib.sha256(f"{_SALT}/{dataset}/{group}".encode()).digest()
    return SPLITS[digest[0] % 2]
