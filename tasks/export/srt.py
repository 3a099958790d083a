"""SRT (SubRip): the lines of the lyrics as subtitles, in milliseconds.

The format has no escapes. What players take for markup (tags of HTML, commands in braces) is written with the nearest sign that means
nothing to them.
"""

from __future__ import annotations

from tasks.export.cues import cues_of
from tasks.export.options import ExportOptions
from tasks.export.plain_signs import without_braces, without_tags
from tasks.export.song import Song


def write(song: Song, options: ExportOptions) -> bytes:
    """UTF-8, without a byte order mark. A song without lyrics is an empty file."""
    blocks = [
        f"{nth}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{_text(cue.text)}\n"
        for nth, cue in enumerate(cues_of(song.map, options.lead_sec, 1000), 1)
    ]
    return "\n".join(blocks).encode()


def _text(text: str) -> str:
    return without_tags(without_braces(text.replace("-->", "→")))


def _clock(time: int) -> str:
    return f"{time // 3_600_000:02d}:{time // 60_000 % 60:02d}:{time // 1000 % 60:02d},{time % 1000:03d}"
