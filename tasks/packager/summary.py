"""A Song Map at a glance: lines for a terminal, markdown for the Prefect UI. Pure.

What comes from a file (tags, names, lyrics) may hold anything: control characters are taken out of lines, and markdown is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from schemas.song_folder import MAP_NAME, TIMELINE_NAME
from schemas.song_map import SongMap

_SHOWN_CHORDS: Final = 12
_SHOWN_LINES: Final = 4
_SHOWN_KEYS: Final = 4
_NONE: Final = "–"


def summary_lines(song_map: SongMap) -> list[tuple[str, str]]:
    """(name, text) pairs in the order a musician asks; each text is one line of printable characters."""
    artist = song_map.source.tags.artist
    meter, performance = song_map.meter, song_map.performance
    lines = [
        ("title", song_map.title + (f" – {artist}" if artist else "")),
        ("duration", clock(song_map.duration_sec)),
        ("tempo", _tempo(song_map)),
        ("meter", f"{meter.numerator}/{meter.denominator}" + (", changing" if len(meter.changes) > 1 else "")),
        ("key", _key(song_map)),
        ("sections", ", ".join(f"{s.label} {s.index} {clock(s.start)}" for s in song_map.sections) or _NONE),
        ("chords", _first([chord.display for chord in song_map.chords if chord.label != "N"], _SHOWN_CHORDS, "  ")),
        ("lyrics", _lyrics(song_map)),
        ("melody", f"{len(performance.melody)} notes" + (f", and {count} of other voices" if (count := len(performance.harmony)) else "")),
        ("bass", f"{len(performance.bass)} notes"),
    ]
    if song_map.status == "partial":
        lines.append(("status", f"partial: without {', '.join(_lacking(song_map))}"))
    return [(name, one_line(text)) for name, text in lines]


def summary_markdown(song_map: SongMap, folder: Path, uri: Callable[[Path], str], picture: str | None = None) -> str:
    """Markdown for a Prefect artifact, not indented, for indented markdown is shown as code.

    folder: where the map was written. uri: where a file of it is read from. picture: URL of the song's timeline.
    """
    rows = [f"| {name} | {escape(text)} |" for name, text in summary_lines(song_map)]
    steps = [
        f"| {name} | {step.status} | {escape(step.engine or _NONE)} | {_NONE if step.seconds is None else f'{step.seconds:.1f}'} "
        f"| {escape('; '.join((*step.reasons, *step.warnings)))} |"
        for name, step in song_map.steps
    ]
    files = [MAP_NAME, TIMELINE_NAME, *(stem.path for stem in song_map.stems if stem.path)]
    parts = [
        [f"# {escape(song_map.title)}"],
        *([[f"![timeline]({picture})"]] if picture else []),
        ["| | |", "| --- | --- |", *rows],
        ["| step | status | engine | seconds | notes |", "| --- | --- | --- | --- | --- |", *steps],
        [f"- {link(file, uri(folder / file))}" for file in files],
        [f"In {escape(str(folder))}"],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def clock(seconds: float) -> str:
    """Minutes and seconds: 3:07."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def one_line(text: str) -> str:
    """The text without line breaks and control characters, which could redraw a terminal."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split(" ")).strip()


def escape(text: str) -> str:
    """Text that markdown shows as it is, in the cell of a table too."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&$])", r"\\\1", one_line(text))


def link(text: str, uri: str) -> str:
    """A link in markdown. text: one of our own names, given as it is, for the UI shows an escape within a link's text."""
    return f"[{text}]({uri.replace('(', '%28').replace(')', '%29')})"


def uri_of(file: Path, output_dir: Path, output_url: str | None) -> str:
    """Where a file is read from: over HTTP where the output folder is served and the file lies in it, else the file itself."""
    file, output_dir = file.absolute(), output_dir.absolute()
    if output_url and file.is_relative_to(output_dir):
        return f"{output_url.rstrip('/')}/{quote(file.relative_to(output_dir).as_posix())}"
    return file.as_uri()


def data_url(svg: str) -> str:
    """An SVG as an address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode('utf-8')).decode('ascii')}"


def _first(texts: Sequence[str], count: int, between: str) -> str:
    return between.join(texts[:count]) + (" …" if len(texts) > count else "") if texts else _NONE


def _tempo(song_map: SongMap) -> str:
    bpm = song_map.tempo.bpm_global
    return f"{bpm:.1f} BPM" if bpm is not None else "no steady pulse"


def _key(song_map: SongMap) -> str:
    several = len(song_map.key) > 1
    return _first([f"{k.tonic} {k.mode}" + (f" from {clock(k.start)}" if several else "") for k in song_map.key], _SHOWN_KEYS, ", ")


def _lyrics(song_map: SongMap) -> str:
    if song_map.steps.asr.status in ("failed", "skipped"):
        return _NONE
    return _first([line.text for line in song_map.lyrics], _SHOWN_LINES, " / ") if song_map.lyrics else "none heard"


def _lacking(song_map: SongMap) -> list[str]:
    return [name for name, step in song_map.steps if step.status in ("failed", "skipped")]
