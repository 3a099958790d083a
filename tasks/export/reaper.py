"""Regions and markers of Reaper, as its Region/Marker Manager reads them (CSV): a region a section; a marker where key or meter begin.

Times are minutes and seconds. The tempo map comes with the MIDI file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from tasks.export.headings import headings
from tasks.export.options import ExportOptions
from tasks.export.song import Song


def write(song: Song, options: ExportOptions) -> bytes:  # noqa: ARG001 (every writer takes them)
    """UTF-8."""
    target = io.StringIO()
    rows = csv.writer(target, lineterminator="\n")
    rows.writerow(("#", "Name", "Start", "End", "Length"))
    sections = song.map.sections
    for nth, (section, name) in enumerate(zip(sections, headings(sections), strict=True), 1):
        start, end = _milliseconds(section.start), _milliseconds(section.end)
        rows.writerow((f"R{nth}", name, _clock(start), _clock(end), _clock(end - start)))
    for nth, (time, name) in enumerate(sorted(_markers(song), key=lambda marker: marker[0]), 1):
        rows.writerow((f"M{nth}", name, _clock(_milliseconds(time)), "", ""))
    return target.getvalue().encode()


def _markers(song: Song) -> Iterator[tuple[float, str]]:
    for key in song.map.key:
        yield key.start, f"{key.tonic} {key.mode}"
    if song.map.bars:
        for meter in song.map.meter.changes:
            yield meter.start, f"{meter.numerator}/{meter.denominator}"


def _milliseconds(time: float) -> int:
    return int(time * 1000 + 0.5)


def _clock(time: int) -> str:
    return f"{time // 60_000}:{time // 1000 % 60:02d}.{time % 1000:03d}"
