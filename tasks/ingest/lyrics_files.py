"""Lyrics that somebody has in a file: read as text, whatever its encoding, and found beside a song."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from schemas.options import LONGEST_LYRICS, AnalysisOptions
from tasks.common.errors import LyricsUnreadable
from tasks.ingest.tags import encoding_of

#: The files beside a song that may hold its words: with times first.
ENDINGS: Final = (".lrc", ".txt")
_MOST_BYTES: Final = 4 * LONGEST_LYRICS
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_lyrics(file: Path) -> str:
    """The text of a file. Raises LyricsUnreadable where it is missing, empty, too long or no text."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise LyricsUnreadable(f"The lyrics {file.name} cannot be read: {error.strerror or error}") from error
    text = lyrics_text(raw) if len(raw) <= _MOST_BYTES else None
    if text is None or len(text) > LONGEST_LYRICS:
        raise LyricsUnreadable(f"The lyrics {file.name} are no text, or longer than {LONGEST_LYRICS} characters")
    if not text.strip():
        raise LyricsUnreadable(f"The lyrics {file.name} are empty")
    return text


def lyrics_text(raw: bytes) -> str | None:
    """The text that bytes are: by their mark, as UTF-8, or in the encoding in which they look best; None where they are no text."""
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None and b"\x00" in raw:
        encoding = "utf-16-le" if raw[1::2].count(0) > raw[::2].count(0) else "utf-16-be"
    text = raw.decode(encoding or encoding_of(raw), "replace")
    return None if "\x00" in text else text


def with_lyrics_beside(song: Path, options: AnalysisOptions) -> AnalysisOptions:
    """The options with the lyrics that lie beside the song under its name, unless they have some. A file that cannot be read is as none."""
    if options.lyrics is not None:
        return options
    for ending in ENDINGS:
        try:
            return options.model_copy(update={"lyrics": read_lyrics(song.with_suffix(ending))})
        except (LyricsUnreadable, ValueError):
            continue
    return options
