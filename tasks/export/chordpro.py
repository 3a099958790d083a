"""ChordPro (chordpro.org, version 6): lyrics with chords in brackets before the letter they stand over, and bars without words as grids.

The format has no escapes. What it would take for its own (braces, brackets, a backslash, a hash at the beginning of a line, markup) is
written with the nearest sign that means nothing to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schemas.song_map import Chord, Section, SongMap
from tasks.common.harmony import harte
from tasks.export.chorded import pieces_of
from tasks.export.headings import headings
from tasks.export.lines import PlayedBar, PlayedBars, SungLine, parts_of
from tasks.export.options import ExportOptions
from tasks.export.plain_signs import without_braces, without_tags
from tasks.export.song import Song
from tasks.export.transposed import shapes

#: The environments that every program knows; any other section is a verse with its own label.
_ENVIRONMENTS: Final = ("verse", "chorus", "bridge")
_BARS_A_LINE: Final = 4
_REST: Final = harte.display(harte.NO_CHORD)
_BRACKETS: Final = str.maketrans("[]", "()")
#: How ChordPro's own list of chords writes what musicians write otherwise.
_NAMES: Final = {"m(maj7)": "mmaj7", "m(add9)": "madd9", "6/9": "69", "♭": "b", "♯": "#"}


def write(song: Song, options: ExportOptions) -> bytes:
    """The song as ChordPro, UTF-8. With a capo, chords and key are those of the shapes."""
    song_map = shapes(song.map, options.capo)
    lines = [*_header(song, song_map, options.capo), *_body(song_map)]
    return ("\n".join(lines) + "\n").encode("utf-8")


def chord_name(chord: Chord) -> str:
    """A chord as ChordPro's list of chords spells it: `Am7b5/Eb`, `N.C.`."""
    name = chord.display
    for ours, theirs in _NAMES.items():
        name = name.replace(ours, theirs)
    return name


def plain(text: str) -> str:
    """Text of which no sign means anything to ChordPro, in one line."""
    return " ".join(_lyrics(text).split())


def _header(song: Song, song_map: SongMap, capo: int) -> Iterator[str]:
    tags = song_map.source.tags
    yield f"{{title: {plain(song_map.title)}}}"
    for name, value in (("artist", song.artist), ("album", tags.album)):
        if value and plain(value):
            yield f"{{{name}: {plain(value)}}}"
    if song_map.key:
        yield _key(song_map, 0)
    if song_map.tempo.bpm_global is not None:
        yield f"{{tempo: {song_map.tempo.bpm_global:.0f}}}"
    if song_map.bars:
        first = song_map.meter.changes[0] if song_map.meter.changes else song_map.meter
        yield f"{{time: {first.numerator}/{first.denominator}}}"
    minutes, seconds = divmod(round(song_map.duration_sec), 60)
    yield f"{{duration: {minutes}:{seconds:02d}}}"
    if capo:
        yield f"{{capo: {capo}}}"


def _key(song_map: SongMap, index: int) -> str:
    key = song_map.key[index]
    return f"{{key: {key.tonic}{'m' if key.mode == 'minor' else ''}}}"


def _body(song_map: SongMap) -> Iterator[str]:
    changes = _Changes(song_map)
    for part, heading in zip(parts := parts_of(song_map), headings([part.section for part in parts]), strict=True):
        if not part.rows and heading:
            yield from ("", f"{{comment: {heading}}}")
        labelled = False
        for rows in _runs(part.rows):
            yield ""
            yield from changes.until(_start(rows[0]))
            named = "" if labelled or (isinstance(rows[0], PlayedBars) and _is_sung(part.rows)) else heading
            labelled = labelled or bool(named)
            if isinstance(rows[0], PlayedBars):
                yield from _grid([row for row in rows if isinstance(row, PlayedBars)], named)
            else:
                yield from _sung([row for row in rows if isinstance(row, SungLine)], part.section, named)


def _is_sung(rows: tuple[SungLine | PlayedBars, ...]) -> bool:
    return any(isinstance(row, SungLine) for row in rows)


def _runs(rows: tuple[SungLine | PlayedBars, ...]) -> Iterator[list[SungLine | PlayedBars]]:
    """Rows of one kind that follow each other."""
    run: list[SungLine | PlayedBars] = []
    for row in rows:
        if run and type(run[-1]) is not type(row):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _start(row: SungLine | PlayedBars) -> float:
    return row.line.start if isinstance(row, SungLine) else row.bars[0].start


class _Changes:
    """Keys and meters after the first: each is written where the next lines begin."""

    def __init__(self, song_map: SongMap):
        keys = [(key.start, _key(song_map, index)) for index, key in enumerate(song_map.key)]
        meters = [(meter.start, f"{{time: {meter.numerator}/{meter.denominator}}}") for meter in song_map.meter.changes]
        self._pending = sorted([*keys[1:], *(meters[1:] if song_map.bars else [])])

    def until(self, time: float) -> Iterator[str]:
        due = [text for start, text in self._pending if start <= time]
        self._pending = self._pending[len(due) :]
        # Of changes that no line saw, only the last of each kind holds.
        yield from {text.partition(":")[0]: text for text in due}.values()


def _sung(rows: list[SungLine], section: Section | None, heading: str) -> Iterator[str]:
    environment = section.label if section is not None and section.label in _ENVIRONMENTS else "verse"
    yield f"{{start_of_{environment}: {heading}}}" if heading else f"{{start_of_{environment}}}"
    for row in rows:
        text = "".join("".join(f"[{chord_name(chord)}]" for chord in piece.chords) + _lyrics(piece.text) for piece in pieces_of(row))
        yield "＃" + text[1:] if text.startswith("#") else text
    yield f"{{end_of_{environment}}}"


def _lyrics(text: str) -> str:
    return without_tags(without_braces(text).translate(_BRACKETS)).replace("\n", " ")


def _grid(rows: list[PlayedBars], heading: str) -> Iterator[str]:
    bars = [bar for row in rows for bar in row.bars]
    beats = max((bar.beats or len(bar.chords) or 1) for bar in bars)
    shape = f'shape="{min(_BARS_A_LINE, len(bars))}x{beats}"'
    yield f'{{start_of_grid: {shape} label="{_quoted(heading)}"}}' if heading else f"{{start_of_grid: {shape}}}"
    sounding = rows[0].sounding
    for first in range(0, len(bars), _BARS_A_LINE):
        cells: list[str] = []
        for bar in bars[first : first + _BARS_A_LINE]:
            cells.append(_bar(bar, sounding if first == 0 and not cells else None))
        yield "| " + " | ".join(cells) + " |"
    yield "{end_of_grid}"


def _quoted(text: str) -> str:
    return text.replace('"', "'")


def _bar(bar: PlayedBar, sounding: Chord | None) -> str:
    """The cells of a bar, one a beat; a chord that begins between two beats stands with the one before it."""
    cells: list[list[str]] = [[] for _ in range(bar.beats or max(len(bar.chords), 1))]
    for beat, chord in bar.chords:
        cell = cells[min(int(beat), len(cells) - 1)]
        if chord.root is not None or not cell:
            cell[:] = [*(name for name in cell if name != _REST), chord_name(chord)]
    if sounding is not None and not cells[0]:
        cells[0] = [chord_name(sounding)]
    return " ".join("~".join(names) or "." for names in cells)
