"""Song Maps in folders, each of a song of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.api.library.library import Library
from schemas.song_folder import MAP_NAME

EXAMPLE = Path(__file__).parents[3] / "packager" / "golden" / "song_map.json"

Write = Callable[..., str]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "songs", tmp_path / "index" / "songs.sqlite")


@pytest.fixture
def write(library: Library) -> Write:
    """write(folder, title, artist=…, lyrics=…, key=…, bpm=…, created=…): writes a map as the packager does; returns the song's id."""

    def write_map(folder: str, title: str, *, song: str | None = None, key: tuple[str, str] = ("C", "major"), **facts: Any) -> str:
        document = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        document["id"] = song or hashlib.sha256(folder.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        document["title"] = title
        document["source"]["tags"] = {**document["source"]["tags"], "title": title, "artist": facts.get("artist"), "album": None}
        document["lyrics"] = [{"start": 1, "end": 2, "text": facts.get("lyrics", ""), "conf": 1, "words": []}]
        document["key"] = [{"start": 0, "end": 10, "tonic": key[0], "mode": key[1], "conf": 1}]
        document["tempo"]["bpm_global"] = facts.get("bpm", 120)
        document["provenance"]["created"] = facts.get("created", "2025-01-31T12:00:00Z")
        place = library.root / folder
        place.mkdir(parents=True, exist_ok=True)
        part = place / ".map.tmp"
        part.write_text(json.dumps(document), encoding="utf-8")
        os.replace(part, place / MAP_NAME)
        found: str = document["id"]
        return found

    return write_map
