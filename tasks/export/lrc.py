"""LRC: each line of the lyrics after the time at which it begins, `[mm:ss.xx]`; and enhanced LRC (A2), with a time before each word too.

Times are rounded to hundredths of a second and never run back. Where nothing is sung after a line, an empty line stands at its end, so that
a player clears it. The times are those of the sound: there is no `[offset]`. The format has no escapes: brackets in the words that a reader
would take for a time or a tag are written as parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from schemas.song_map import LyricLine
from tasks.export.lines import gaps_of, words_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song

#: A time in brackets, anywhere; a tag, at the beginning of a line.
_TIME: Final = re.compile(r"[\[<]([\s\d:.]*\d[\s\d:.]*)[\]>]")
_BRACKETS: Final = str.maketrans("[]", "()")


def write(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """A time a line."""
    return _document(song, with_words=False)


def write_words(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """A time a line, a word, and the line's end."""
    return _document(song, with_words=True)


def hundredths(time: float) -> int:
    """A time (s) in hundredths of a second, to the nearest."""
    return int(time * 100 + 0.5)


def _document(song: Song, with_words: bool) -> bytes:
    text = "\n".join([*_tags(song), *_lines(song.map.lyrics, with_words)])
    return f"{text}\n".encode()


def _tags(song: Song) -> Iterator[str]:
    tags = song.map.source.tags
    for name, value in (("ti", song.map.title), ("ar", tags.artist), ("al", tags.album), ("re", "Performia")):
        if value and (shown := _on_one_line(value).translate(_BRACKETS)):
            yield f"[{name}:{shown}]"
    seconds = int(song.map.duration_sec + 0.5)
    yield f"[length:{seconds // 60:02d}:{seconds % 60:02d}]"


def _lines(lines: tuple[LyricLine, ...], with_words: bool) -> Iterator[str]:
    for nth, line in enumerate(lines):
        start, end = hundredths(line.start), hundredths(line.end)
        yield f"[{_clock(start)}]{_words(line) if with_words else _harmless(line.text)}"
        following = hundredths(lines[nth + 1].start) if nth + 1 < len(lines) else end + 1
        if following > end:
            yield f"[{_clock(end)}]"


def _words(line: LyricLine) -> str:
    """The words with their times. What stands between them in the line's own text stays between them: nothing, in Japanese."""
    text = ""
    for word, gap in zip(words_of(line), gaps_of(line), strict=True):
        text += f"<{_clock(hundredths(word.start))}>{_harmless(word.text, at_start=not text)}{gap}"
    return f"{text}<{_clock(hundredths(line.end))}>"


def _harmless(text: str, at_start: bool = True) -> str:
    flat = _TIME.sub(r"(\1)", _on_one_line(text))
    return flat.translate(_BRACKETS) if at_start and flat.startswith("[") else flat


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _clock(time: int) -> str:
    """mm:ss.xx of hundredths; the minutes have three digits where they need them."""
    return f"{time // 6000:02d}:{time // 100 % 60:02d}.{time % 100:02d}"
