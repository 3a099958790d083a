"""The song sheet: one HTML file that prints to a page or two. Lyrics with chords over the syllables, sections, bars without words, and
the chords as boxes for guitar and ukulele. Nothing is loaded from elsewhere; there are no scripts.

The size of the letters is the largest with which the song should fit on two pages of A4 in two columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from schemas.song_map import Chord, SongMap
from tasks.export.chord_box import box_of
from tasks.export.chorded import pieces_of
from tasks.export.fingering import GUITAR, UKULELE
from tasks.export.headings import headings
from tasks.export.lines import Part, PlayedBars, SungLine, parts_of
from tasks.export.options import ExportOptions
from tasks.export.song import Song
from tasks.export.transposed import shapes

#: Points. A page of A4 has two columns of 250 by 740.
_SIZES: Final = (11.5, 11.0, 10.5, 10.0, 9.5, 9.0, 8.5, 8.0, 7.5, 7.0, 6.5, 6.0)
_COLUMN_WIDTH: Final = 250.0
_COLUMN_HEIGHT: Final = 740.0
_COLUMNS: Final = 4
#: Of the size of the letters: how wide one is, and how high what stands on the sheet.
_LETTER: Final = 0.56
_SUNG: Final = 2.5
_PLAYED: Final = 1.5
_HEADING: Final = 2.4
#: A row of boxes in a column, pt.
_BOXES_A_ROW: Final = 4
_BOX_HEIGHT: Final = 58.0
_BARS_A_LINE: Final = 4
_MOST_BOXES: Final = 20
_STYLE: Final = """
:root { color-scheme: light; }
body { font: %(size)spt/1.25 system-ui, sans-serif; color: #111; background: #fff; margin: 12mm auto; max-width: 186mm; padding: 0 4mm; }
h1 { font-size: 1.7em; margin: 0; } header p { margin: .2em 0 .8em; color: #444; }
main { columns: 2; column-gap: 8mm; }
h2 { font-size: 1em; margin: .7em 0 .1em; break-after: avoid; color: #444; text-transform: uppercase; letter-spacing: .05em; }
.l { break-inside: avoid; margin: 0; } .p { display: inline-block; vertical-align: bottom; white-space: pre-wrap; }
.p b { display: block; min-height: 1.1em; line-height: 1.1; color: #0b4f86; padding-inline-end: .35em; }
.g { margin: .15em 0; break-inside: avoid; font-weight: bold; color: #0b4f86; }
section.b { break-inside: avoid; margin-top: .8em; } svg { margin: 1pt; stroke: #111; stroke-width: .7; fill: none; }
svg text { stroke: none; fill: #111; text-anchor: middle; font: 8px system-ui, sans-serif; } svg .n { font-weight: bold; font-size: 9px; }
svg .f { text-anchor: end; } svg circle { fill: #111; }
@page { size: A4; margin: 10mm; } @media print { body { margin: 0; max-width: none; padding: 0; } }
@media (max-width: 640px) { main { columns: 1; } }
"""


def write(song: Song, options: ExportOptions) -> bytes:
    """HTML, UTF-8. With a capo, chords and key are those of the shapes."""
    song_map = shapes(song.map, options.capo)
    parts = parts_of(song_map)
    chords = _distinct(song_map.chords)
    size = next((size for size in _SIZES if _height(parts, len(chords), size) <= _COLUMN_HEIGHT * _COLUMNS), _SIZES[-1])
    title, language = escape(song_map.title), song_map.voice.language
    html = [
        f'<!doctype html>\n<html{f" lang={language}" if language else ""}><head><meta charset="utf-8">',
        f'<meta name="viewport" content="width=device-width"><title>{escape(song.name)}</title>',
        f"<style>{_STYLE % {'size': size}}</style></head>",
        f'<body><header><h1 dir="auto">{title}</h1><p>{" · ".join(_facts(song, song_map, options.capo))}</p></header><main>',
        *_body(parts),
        *_boxes(chords),
        "</main></body></html>\n",
    ]
    return "\n".join(html).encode()


def _facts(song: Song, song_map: SongMap, capo: int) -> Iterator[str]:
    if song.artist:
        yield f"<bdi>{escape(song.artist)}</bdi>"
    if song_map.key:
        yield " → ".join(dict.fromkeys(f"{key.tonic} {key.mode}" for key in song_map.key))
    if song_map.tempo.bpm_global is not None:
        yield f"{song_map.tempo.bpm_global:.0f} bpm"
    if song_map.bars:
        yield ", ".join(dict.fromkeys(f"{meter.numerator}/{meter.denominator}" for meter in song_map.meter.changes))
    if capo:
        yield f"capo {capo}"


def _body(parts: tuple[Part, ...]) -> Iterator[str]:
    for part, heading in zip(parts, headings([part.section for part in parts]), strict=True):
        if heading:
            yield f"<h2>{escape(heading)}</h2>"
        for row in part.rows:
            yield from _sung(row) if isinstance(row, SungLine) else _played(row)


def _sung(row: SungLine) -> Iterator[str]:
    pieces = (f'<span class="p"><b>{_names(piece.chords)}</b>{escape(piece.text) or "&nbsp;"}</span>' for piece in pieces_of(row))
    yield f'<p class="l" dir="auto">{"".join(pieces)}</p>'


def _played(row: PlayedBars) -> Iterator[str]:
    # A rest is named where nothing else begins in its bar.
    cells = [_names([chord for _, chord in bar.chords if chord.root] or [chord for _, chord in bar.chords]) for bar in row.bars]
    if row.sounding is not None and not row.bars[0].chords:
        cells[0] = _names([row.sounding])
    for first in range(0, len(cells), _BARS_A_LINE):
        yield f'<p class="g" dir="ltr">| {" | ".join(cell or "%" for cell in cells[first : first + _BARS_A_LINE])} |</p>'


def _names(chords: Iterable[Chord]) -> str:
    return " ".join(f"<bdi>{escape(chord.display)}</bdi>" for chord in chords)


def _distinct(chords: tuple[Chord, ...]) -> list[Chord]:
    """Each chord once, those that sound longest first, and no more than a sheet has room for."""
    lasts: dict[str, float] = {}
    for chord in chords:
        if chord.root is not None:
            lasts[chord.label] = lasts.get(chord.label, 0.0) + chord.end - chord.start
    first = {chord.label: chord for chord in reversed(chords)}
    kept = set(sorted(lasts, key=lambda label: -lasts[label])[:_MOST_BOXES])
    return [first[label] for label in lasts if label in kept]


def _boxes(chords: list[Chord]) -> Iterator[str]:
    for name, tuning in (("Guitar", GUITAR), ("Ukulele", UKULELE)):
        drawn = [box for chord in chords if (box := box_of(chord.label, chord.display, tuning))]
        if drawn:
            yield f'<section class="b"><h2>{name}</h2>{"".join(drawn)}</section>'


def _height(parts: tuple[Part, ...], boxes: int, size: float) -> float:
    """How much of the columns the song takes (pt)."""
    letters = _COLUMN_WIDTH / (_LETTER * size)
    height = 4 * _HEADING * size + 2 * math.ceil(boxes / _BOXES_A_ROW) * _BOX_HEIGHT
    for part in parts:
        height += _HEADING * size
        for row in part.rows:
            if isinstance(row, SungLine):
                height += math.ceil(max(len(row.line.text), 1) / letters) * _SUNG * size
            else:
                height += math.ceil(len(row.bars) / _BARS_A_LINE) * _PLAYED * size
    return height
