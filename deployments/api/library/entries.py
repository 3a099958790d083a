"""What the library knows of a song: taken from its Song Map, whichever version of Performia wrote it. Pure."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from deployments.api.library.query import key_code
from deployments.api.library.words import folded, words
from tasks.common.errors import OptionInvalid

_ID: Final = re.compile(r"[0-9a-f]{16}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SongEntry:
    """A song in the library. key: such as `A minor`. stems: names of those that the map has."""

    id: str
    title: str
    artist: str | None
    album: str | None
    duration_sec: float
    bpm: float | None
    key: str | None
    status: str
    created: str
    language: str | None
    stems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IndexedSong:
    """An entry, and what it is found and sorted by.

    keys: codes of all its keys. texts: title, artist, album, lyrics in words. audio: hashes of the audio that the map names.
    """

    entry: SongEntry
    keys: tuple[str, ...]
    texts: tuple[str, str, str, str]
    title_key: str
    artist_key: str
    audio: tuple[str, ...]


def indexed_song(content: bytes) -> IndexedSong | None:
    """What a Song Map says; None where the file is none."""
    try:
        document: Any = json.loads(content)
        song_id, title, source = document["id"], document["title"], document["source"]
        tags = source["tags"]
        artist, album = _text(tags["artist"]), _text(tags["album"])
        spans = list(_keys(document["key"]))
        lines = _sound(" ".join(str(line["text"]) for line in document["lyrics"]))
        entry = SongEntry(
            id=song_id,
            title=_sound(str(title)),
            artist=artist,
            album=album,
            duration_sec=_finite(document["duration_sec"]),
            bpm=None if document["tempo"]["bpm_global"] is None else _finite(document["tempo"]["bpm_global"]),
            key=_longest(spans),
            status=_sound(str(document["status"])),
            created=_sound(str(document["provenance"]["created"])),
            language=_text(document["voice"]["language"]),
            stems=tuple(_sound(str(stem["name"])) for stem in document["stems"]),
        )
        audio = [source["audio_sha256"], source.get("analysed_sha256"), *(stem["sha256"] for stem in document["stems"])]
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(song_id, str) or not _ID.fullmatch(song_id):
        return None
    texts = tuple(" ".join(words(text)) for text in (entry.title, artist or "", album or "", lines))
    return IndexedSong(
        entry=entry,
        keys=tuple(dict.fromkeys(code for code, _, _ in spans)),
        texts=(texts[0], texts[1], texts[2], texts[3]),
        title_key=folded(entry.title),
        artist_key=folded(artist or ""),
        audio=tuple(dict.fromkeys(sha for sha in audio if isinstance(sha, str) and _SHA256.fullmatch(sha))),
    )


def _keys(spans: Any) -> Iterator[tuple[str, str, float]]:
    """(code, name, length in seconds) of each key."""
    for span in spans:
        name = f"{span['tonic']} {span['mode']}"
        try:
            yield key_code(name), name, float(span["end"]) - float(span["start"])
        except OptionInvalid:
            continue


def _longest(spans: list[tuple[str, str, float]]) -> str | None:
    """The key that holds longest in all."""
    lengths: dict[str, float] = defaultdict(float)
    for _, name, length in spans:
        lengths[name] += length
    return max(lengths, key=lengths.__getitem__, default=None)


def _text(value: Any) -> str | None:
    return _sound(value) if isinstance(value, str) and value else None


def _sound(text: str) -> str:
    """A text without halves of characters, which JSON may hold and no database takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no length and no tempo")
    return number
