"""`performia export`: songs as files for other programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.cli.console import print_error
from deployments.terminal import error_console, print_json, shown
from tasks.common.errors import ExportNeedsSound, ExportNothingToWrite, OptionInvalid, PerformiaError
from tasks.export.files import Written, write_exports
from tasks.export.formats import EVERYTHING, FORMATS, Format, format_named
from tasks.export.options import ExportOptions
from tasks.export.song import Song, read_song
from tasks.ingest.file_names import as_text
from tasks.packager.folder import safe_name

#: Instead of a list of formats: each one that can be made of the song.
ALL = "all"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a person asked for. output: a folder; None for that of each song's map. replace: also what was changed by hand."""

    formats: tuple[Format, ...]
    options: ExportOptions
    output: Path | None = None
    replace: bool = False
    everything: bool = False


def requested(texts: Sequence[str], options: ExportOptions, output: Path | None, replace: bool) -> ExportRequest:
    """texts: names of formats, with commas, such as `lrc,chordpro`; or `all`. Raises ExportFormatUnknown, OptionInvalid."""
    names = list(dict.fromkeys(name.strip().lower() for text in texts for name in text.split(",") if name.strip()))
    if not names:
        raise OptionInvalid("No format was asked for", "Say --to with one or more of: " + ", ".join(FORMATS))
    everything = ALL in names
    formats = (
        tuple(entry for name, entry in FORMATS.items() if name != EVERYTHING) if everything else tuple(format_named(name) for name in names)
    )
    return ExportRequest(formats, options, output, replace, everything)


def list_formats(as_json: bool) -> None:
    """Print every format: its name, the file's ending, and what opens it."""
    if as_json:
        rows = [(entry.name, entry.suffix, entry.title, entry.opens_in, entry.media_type) for entry in FORMATS.values()]
        print_json([dict(zip(("name", "suffix", "title", "opens_in", "media_type"), row, strict=True)) for row in rows])
        return
    table = Table("format", "file", "what it is", "opens in", box=None, pad_edge=False)
    for entry in FORMATS.values():
        table.add_row(entry.name, escape(entry.suffix), escape(entry.title), escape(entry.opens_in))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


def export_songs(songs: Sequence[Path], request: ExportRequest, as_json: bool) -> int:
    """Write the exports of songs, and their paths on standard output. Returns the exit code: 1 if any could not be written."""
    console = error_console()
    rows: list[dict[str, str | None]] = []
    for path in songs:
        try:
            found = list(_export(read_song(path), request))
        except PerformiaError as error:
            found = [Written("", None, error)]
        for written in found:
            if written.error is not None:
                print_error(console, written.error)
            elif not as_json and written.file is not None:
                print(shown(written.file), flush=True)
            rows.append(_row(path, written))
    if as_json:
        print_json(rows)
    return 1 if any(row["code"] for row in rows) else 0


def exports_beside(console: Console, song: Song, request: ExportRequest) -> tuple[dict[str, str | None], ...]:
    """Write the exports of a song that was just analysed; say what could not be written. Returns what `--json` prints."""
    rows: list[dict[str, str | None]] = []
    for written in _export(song, request):
        if written.error is not None:
            print_error(console, written.error)
        rows.append(_row(song.folder or Path(), written))
    return tuple(rows)


def _export(song: Song, request: ExportRequest) -> list[Written]:
    folder = request.output or song.folder
    assert folder is not None  # read_song gives one
    written = write_exports(song, request.formats, request.options, folder, safe_name(song.name), request.replace)
    # Asked for everything, a song without stems or beats is one of which less can be made.
    return [one for one in written if not (request.everything and isinstance(one.error, ExportNeedsSound | ExportNothingToWrite))]


def _row(song: Path, written: Written) -> dict[str, str | None]:
    error = written.error
    return {
        "song": as_text(song),
        "format": written.format or None,
        "file": as_text(written.file) if written.file else None,
        "code": error.code if error else None,
        "error": shown(error) if error else None,
    }
