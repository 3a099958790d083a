"""What analysing a folder of songs returns and writes down: one entry a song, and a summary."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.results import Frozen

SongStatus = Literal["done", "cached", "partial", "failed", "skipped"]


class SongEntry(Frozen):
    """How one song went. `manifest.json` has all of it, `manifest.csv` what comes before `size`."""

    file: str = Field(description="Path of the audio file.")
    status: SongStatus = Field(
        description="done; cached: every step was answered from the cache; partial: a step failed; failed; skipped: could not be looked at."
    )
    song_id: str | None = None
    duration_sec: float | None = Field(default=None, description="Length of the song (s).")
    seconds: float = Field(default=0.0, description="How long its analysis took (s).")
    title: str | None = None
    key: str | None = Field(default=None, description="The key that holds longest, such as A minor.")
    bpm: float | None = Field(default=None, description="The song's tempo; empty where it has no steady pulse.")
    song_map: str | None = Field(default=None, description="Path of the Song Map, below the manifest's folder.")
    error_code: str | None = None
    error: str | None = Field(default=None, description="What went wrong and what to do; for a partial song, which steps are lacking.")

    # How a later start knows that nothing changed.
    size: int = Field(default=0, description="Size of the file (bytes).")
    mtime_ns: int = Field(default=0, description="When the file was last changed.")
    file_sha256: str | None = Field(default=None, description="SHA-256 of the file.")
    recipe: str = Field(default="", description="Digest of the options, engines and versions of steps it was analysed with.")
    stems: tuple[str, ...] = Field(default=(), description="Paths of the stems, below the Song Map's folder.")


class BatchSummary(Frozen):
    """How a folder went. A song that an earlier start finished counts as cached."""

    folder: str
    output_dir: str
    manifest: str = Field(description="Path of manifest.json; manifest.csv lies beside it.")
    songs: int
    done: int = 0
    cached: int = 0
    partial: int = 0
    failed: int = 0
    skipped: int = 0
    music_sec: float = Field(default=0.0, description="Length of all songs that have a Song Map (s).")
    seconds: float = Field(default=0.0, description="How long it took (s).")
    songs_per_hour: float | None = Field(default=None, description="Of the songs that were analysed now; empty where there were none.")
    times_real_time: float | None = Field(default=None, description="Seconds of music analysed now, a second.")
    at_once: int = Field(description="How many songs at once.")
    memory_budget_gib: float = Field(description="Memory that the songs were to share (GiB).")
