"""ASS (Advanced SubStation Alpha, 4.00+) with karaoke: each word or syllable is filled while it is sung (`\\kf`), or lights up (`\\k`).

Times are centiseconds. Those of a line's parts are differences of times that are rounded once, so that they add up to the line: what is
rounded off is carried on. The format has no escapes that all players know: braces and backslashes in the words are written as the nearest
sign that means nothing to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tasks.export.cues import Cue, cues_of
from tasks.export.options import ExportOptions
from tasks.export.plain_signs import without_braces
from tasks.export.song import Song

_HEADER: Final = """[Script Info]
Title: {title}
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: 1280
PlayResY: 720

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, \
ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Lyrics,Arial,56,&H0000D7FF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,60,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def write(song: Song, options: ExportOptions) -> bytes:
    """Words and syllables are filled while they are sung. UTF-8."""
    return _document(song, options.lead_sec, "kf")


def write_steps(song: Song, options: ExportOptions) -> bytes:
    """Words and syllables light up when they begin. UTF-8."""
    return _document(song, options.lead_sec, "k")


def _document(song: Song, lead_sec: float, tag: str) -> bytes:
    title = " ".join(song.name.split())
    lines = [
        f"Dialogue: 0,{_clock(cue.start)},{_clock(cue.end)},Lyrics,,0,0,0,karaoke,{''.join(_karaoke(cue, tag))}\n"
        for cue in cues_of(song.map, lead_sec, 100)
    ]
    return (_HEADER.format(title=title) + "".join(lines)).encode()


def _karaoke(cue: Cue, tag: str) -> Iterator[str]:
    """The parts of a line with how long each lasts (cs), and the pauses between them; together as long as the line is shown."""
    reached, pending = cue.start, ""
    for part in cue.sung:
        if part.start > reached or pending:
            yield f"{{\\k{part.start - reached}}}{pending}"
        yield f"{{\\{tag}{part.end - part.start}}}{without_braces(part.text)}"
        reached, pending = part.end, part.gap
    if cue.end > reached:
        yield f"{{\\k{cue.end - reached}}}"


def _clock(time: int) -> str:
    return f"{time // 360_000}:{time // 6000 % 60:02d}:{time // 100 % 60:02d}.{time % 100:02d}"
