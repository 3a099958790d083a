"""`performia diff`: in what two Song Maps differ."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.terminal import print_json, shown
from schemas.song_folder import MAP_NAME
from tasks.corrections.difference import Difference, differences
from tasks.corrections.outcome import clock
from tasks.packager.correct import read_map

_MOST_SHOWN = 200


def diff_maps(one: Path, other: Path, as_json: bool) -> int:
    """Print the differences of two maps, or of the maps of two folders. Returns 0 where there are none, else 1.

    Raises SongMapNotFound, SongMapInvalid.
    """
    found = differences(*(read_map(path / MAP_NAME if path.is_dir() else path) for path in (one, other)))
    if as_json:
        print_json([asdict(difference) for difference in found])
    else:
        _show(found)
    return 1 if found else 0


def _show(found: list[Difference]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    if not found:
        console.print("The maps say the same.")
        return
    table = Table("time", "what", "first map", "second map", box=None, pad_edge=False)
    for difference in found[:_MOST_SHOWN]:
        at = "" if difference.at is None else clock(difference.at)
        table.add_row(at, difference.what, *(escape(shown(text)) if text else "–" for text in (difference.before, difference.after)))
    console.print(table)
    if len(found) > _MOST_SHOWN:
        console.print(f"… and {len(found) - _MOST_SHOWN} more: see --json")
