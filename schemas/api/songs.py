"""Songs: the Song Maps that are kept in the output folder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from schemas.results import Frozen

#: Of a Song Map: from the hash of its sound.
SONG_ID_PATTERN = r"^[0-9a-f]{16}$"

SongStem = Literal["vocals", "drums", "bass", "other", "instrumental"]


class SongLinks(Frozen):
    """Paths of what belongs to a song. `stems`: by name; further endings give other forms (`.flac`, `.mp3`, `.opus`)."""

    self: str
    source: str
    timeline: str
    peaks: str = Field(description="Of the whole song; those of the stems lie beside it, by their names.")
    stems: dict[str, str]


class FirstView(Frozen):
    """A song as the first front end reads it: `schemas.first_view` makes it. Times are seconds."""

    id: str = Field(pattern=SONG_ID_PATTERN)
    duration_sec: float = Field(ge=0)
    tempo: dict[str, Any]
    meter: dict[str, int]
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    key: tuple[dict[str, Any], ...]
    chords: tuple[dict[str, Any], ...]
    sections: tuple[dict[str, Any], ...]
    lyrics: tuple[dict[str, Any], ...]
    performance: dict[str, tuple[dict[str, Any], ...]]
    provenance: dict[str, Any]


class Peaks(Frozen):
    """What a waveform is drawn of: the JSON of audiowaveform. `data`: lowest and highest sample of each piece in turn, -128 to 127."""

    version: Literal[2]
    channels: Literal[1]
    sample_rate: int
    samples_per_pixel: int = Field(ge=1, description="How long a piece is.")
    bits: Literal[8]
    length: int = Field(ge=0, description="How many pieces there are.")
    data: tuple[int, ...]


class Song(Frozen):
    """A song as lists have it."""

    id: str = Field(pattern=SONG_ID_PATTERN, examples=["5eb63bbbe01eeed0"])
    title: str = Field(examples=["Evening Train"])
    artist: str | None = Field(default=None, description="As the file's tags have it.")
    album: str | None = None
    duration_sec: float = Field(ge=0)
    bpm: float | None = Field(default=None, description="Beats a minute; null where the song has no steady pulse.")
    key: str | None = Field(default=None, description="The key that holds longest.", examples=["A minor"])
    status: str = Field(description="`complete`, or `partial` where a step is missing.", examples=["complete"])
    language: str | None = Field(default=None, description="ISO 639 code of the lyrics.")
    created: str = Field(description="When its Song Map was made.", examples=["2026-01-31T12:00:00Z"])
    links: SongLinks


class SongList(Frozen):
    """Songs in the order that was asked for. `next`: the cursor of the next page; null at the end."""

    songs: tuple[Song, ...]
    next: str | None = None
    complete: bool = Field(description="False while the library still reads songs: what is listed is right, and not all there is.")
