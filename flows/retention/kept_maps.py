"""What the Song Maps that a person keeps still need of the artifact store.

A Song Map refers to its stems by their path beside it and by the hash of their samples. Where the file beside it is whole, the artifact is
a second copy; where it is missing or damaged, the artifact is the last one, and is kept as long as the map is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from schemas.song_folder import MAP_NAME

logger = logging.getLogger(__name__)

_BLOCK_FRAMES: Final = 1 << 18


class KeptMaps:
    """The Song Maps below some folders.

    all_audio: count as needed whatever a map names by its hash, the decoded song too, and not only the last copy of a stem.
    """

    def __init__(self, folders: Iterable[Path], all_audio: bool = False):
        self.all_audio = all_audio
        self.count = 0
        self.unreadable: list[Path] = []
        self._copies: dict[str, list[Path]] = {}
        self._named: set[str] = set()
        self._whole: dict[Path, str] = {}
        for folder in dict.fromkeys(path.resolve() for path in folders):
            for place, _, names in os.walk(folder):
                if MAP_NAME in names:
                    self._take(Path(place, MAP_NAME))

    def need(self, sha256: str) -> bool:
        """Whether a kept map needs this artifact."""
        if self.all_audio:
            return sha256 in self._named
        return any(self._hash(copy) != sha256 for copy in self._copies.get(sha256, ()))

    def _take(self, file: Path) -> None:
        self.count += 1
        try:
            document: Any = json.loads(file.read_bytes())
            stems = [(stem["sha256"], stem["path"]) for stem in document["stems"]]
            self._named.add(document["source"]["audio_sha256"])
            self._named.add(document["source"].get("analysed_sha256"))
        except OSError:
            self.unreadable.append(file)
            return
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # not a Song Map: it names nothing
        for sha256, path in stems:
            self._named.add(sha256)
            if isinstance(path, str):
                self._copies.setdefault(sha256, []).append(file.parent / path)

    def _hash(self, copy: Path) -> str:
        """SHA-256 of a file's samples; empty where it cannot be read."""
        if copy not in self._whole:
            self._whole[copy] = _sample_hash(copy)
        return self._whole[copy]


def _sample_hash(path: Path) -> str:
    import soundfile

    digest = hashlib.sha256()
    try:
        with soundfile.SoundFile(path) as file:
            for block in file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                digest.update(block.astype("<f4", copy=False).tobytes())
    except (OSError, soundfile.SoundFileError):
        return ""
    return digest.hexdigest()
