"""A reader of UltraStar's format as its specification has it (https://usdx.eu/format/, version 1), which knows nothing of the writer."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADER = re.compile(r"#\s*([^:]+?)\s*:\s*(.*?)\s*")
_NOTE = re.compile(r"([!-\"$-~])\s(\d+)\s(\d+)\s(-?\d+)\s(.+)")
_END_OF_PHRASE = re.compile(r"-\s(\d+)\s*")
_DECIMAL = re.compile(r"\d+([.,]\d+)?")


@dataclass(frozen=True)
class ReadNote:
    """start, end: s. pitch: half-steps above C4."""

    kind: str
    start: float
    end: float
    pitch: int
    text: str


@dataclass(frozen=True)
class ReadSong:
    """phrases: the notes, line by line."""

    headers: dict[str, str]
    phrases: list[list[ReadNote]]

    @property
    def notes(self) -> list[ReadNote]:
        return [note for phrase in self.phrases for note in phrase]


def read_ultrastar(content: bytes) -> ReadSong:
    """Raises ValueError where the file is not as the specification says, in what it calls SHOULD too."""
    assert not content.startswith(b"\xef\xbb\xbf"), "no byte order mark"
    headers: dict[str, str] = {}
    rows: list[tuple[str, int, int, int, str]] = []
    phrases: list[list[tuple[str, int, int, int, str]]] = [rows]
    ends: list[int] = []
    in_body = done = False
    for line in re.split(r"\r\n|\r|\n", content.decode("utf-8")):
        if done or not line.strip():
            continue
        if line == "E":
            done = True
        elif not in_body and (header := _HEADER.fullmatch(line)):
            key = header[1].upper()
            if key in headers:
                raise ValueError(f"{key} is there twice")
            headers[key] = header[2]
        elif note := _NOTE.fullmatch(line):
            in_body = True
            phrases[-1].append((note[1], int(note[2]), int(note[3]), int(note[4]), note[5]))
        elif end := _END_OF_PHRASE.fullmatch(line):
            if not phrases[-1]:
                raise ValueError("two ends of a phrase, or one before the first note")
            ends.append(int(end[1]))
            phrases.append([])
        else:
            raise ValueError(f"not a line of a song: {line!r}")
    if not done:
        raise ValueError("no E")
    _check(headers, phrases, ends)
    beat = 60 / (4 * float(headers["BPM"].replace(",", ".")))
    gap = float(headers.get("GAP", "0").replace(",", ".")) / 1000
    read = [[ReadNote(k, gap + s * beat, gap + (s + d) * beat, p, t) for k, s, d, p, t in phrase] for phrase in phrases if phrase]
    return ReadSong(headers, read)


def _check(headers: dict[str, str], phrases: list[list[tuple[str, int, int, int, str]]], ends: list[int]) -> None:
    if missing := {"VERSION", "BPM", "MP3", "TITLE", "ARTIST"} - set(headers):
        raise ValueError(f"without {missing}")
    if not re.fullmatch(r"1\.\d+\.\d+", headers["VERSION"]) or next(iter(headers)) != "VERSION":
        raise ValueError("VERSION")
    for name in ("BPM", "GAP", "PREVIEWSTART"):
        if name in headers and not _DECIMAL.fullmatch(headers[name]):
            raise ValueError(name)
    free = 0
    for phrase, end in zip(phrases, [*ends, None], strict=True):
        for _, start, duration, _, _ in phrase:
            if start < free or duration < 1:
                raise ValueError("notes overlap, or have no length")
            free = start + duration
        if end is not None and end < free:
            raise ValueError("a phrase ends within a note")
        free = free if end is None else end
    if ends and not phrases[-1]:
        raise ValueError("the last note is followed by the end of a phrase")
