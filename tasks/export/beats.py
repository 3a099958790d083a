"""`.beats`, as Beat This writes it and Sonic Visualiser reads it: a beat a line, its time (s), a tab, its position in the bar from 1."""

from __future__ import annotations

from tasks.export.beat_positions import beat_positions
from tasks.export.options import ExportOptions
from tasks.export.song import Song


def write(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """Times to the microsecond. A song without a pulse is an empty file."""
    return "".join(f"{beat.time:.6f}\t{beat.position}\n" for beat in beat_positions(song.map)).encode()
