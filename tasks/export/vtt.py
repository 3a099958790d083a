"""WebVTT (W3C): the lines of the lyrics as subtitles, in milliseconds, with the time of each word or syllable in them.

A browser shows the parts after a time in the text as `::cue(:future)` until then. The first part has no time of its own where the line is
shown just when it begins. Ampersands and angle brackets are escaped.
"""

from __future__ import annotations

from tasks.export.cues import Cue, cues_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write(song: Song, options: ExportOptions) -> bytes:
    """UTF-8."""
    title = " ".join(song.name.replace("-->", "→").split())
    blocks = [f"WEBVTT {title}\n"]
    for nth, cue in enumerate(cues_of(song.map, options.lead_sec, 1000), 1):
        blocks.append(f"{nth}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{_text(cue)}\n")
    return "\n".join(blocks).encode()


def _text(cue: Cue) -> str:
    """The words, a time before each that begins after the one before it: the format allows no others."""
    text, reached = "", cue.start
    for part in cue.sung:
        if reached < part.start < cue.end:
            text += f"<{_clock(part.start)}>"
            reached = part.start
        text += part.text.translate(_ESCAPES) + part.gap
    return text


def _clock(time: int) -> str:
    return f"{time // 3_600_000:02d}:{time // 60_000 % 60:02d}:{time // 1000 % 60:02d}.{time % 1000:03d}"
