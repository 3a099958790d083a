"""What the Song Maps that a person keeps still need of the artifact store.

A Song Map refers to its stems by their path beside it and by the hash of their samples, and of the file where that is of another format
than the artifact. Where the file beside it is whole, in the format that was chosen, the artifact is a second copy; where it is missing or
damaged, the artifact is the last one, and is kept as long as the map is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.song_folder import MAP_NAME
from tasks.common.storage.artifacts import sha256_file

logger = logging.getLogger(__name__)

_BLOCK_FRAMES: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class _Copy:
    """A stem's file. file_sha256: its hash where the map says so; None: that of its samples is the stem's."""

    path: Path
    file_sha256: str | None


class KeptMaps:
    """The Song Maps below some folders.

    all_audio: count as needed whatever a map names by its hash, the decoded song too, and not only the last copy of a stem.
    """

    def __init__(self, folders: Iterable[Path], all_audio: bool = False):
        self.all_audio = all_audio
        self.count = 0
        self.unreadable: list[Path] = []
        self._copies: dict[str, list[_Copy]] = {}
        self._named: set[str] = set()
        self._hashes: dict[_Copy, str] = {}
        for folder in dict.fromkeys(path.resolve() for path in folders):
            for place, _, names in os.walk(folder):
                if MAP_NAME in names:
                    self._take(Path(place, MAP_NAME))

    def need(self, sha256: str) -> bool:
        """Whether a kept map needs this artifact."""
        if self.all_audio:
            return sha256 in self._named
        return any(not self._is_whole(copy, sha256) for copy in self._copies.get(sha256, ()))

    def _take(self, file: Path) -> None:
        self.count += 1
        try:
            document: Any = json.loads(file.read_bytes())
            stems = [(stem["sha256"], stem["path"], stem.get("file_sha256")) for stem in document["stems"]]
            self._named.add(document["source"]["audio_sha256"])
            self._named.add(document["source"].get("analysed_sha256"))
        except OSError:
            self.unreadable.append(file)
            return
        except (ValueError, KeyError, TypeError, RecursionError):
            return  # not a Song Map: it names nothing
        for sha256, path, file_sha256 in stems:
            self._named.add(sha256)
            if isinstance(path, str):
                self._copies.setdefault(sha256, []).append(_Copy(file.parent / path, file_sha256))

    def _is_whole(self, copy: _Copy, sha256: str) -> bool:
        if copy not in self._hashes:
            self._hashes[copy] = _sample_hash(copy.path) if copy.file_sha256 is None else _file_hash(copy.path)
        return self._hashes[copy] == (copy.file_sha256 or sha256)


def _file_hash(path: Path) -> str:
    """SHA-256 of a file; empty where it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""


def _sample_hash(path: Path) -> str:
    """SHA-256 of a file's samples; empty where it cannot be read."""
    import soundfile

    digest = hashlib.sha256()
    try:
        with soundfile.SoundFile(path) as file:
            for block in file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                digest.update(block.astype("<f4", copy=False).tobytes())
    except (OSError, soundfile.SoundFileError):
        return ""
    return digest.hexdigest()
