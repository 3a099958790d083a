"""A picture of the song along its time: sections, chords, beats, melody and bass, lyrics; one SVG of a bounded size. Pure.

Notes and beats are one path each, so that half an hour of music stays small; texts appear where there is room for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from schemas.song_map import Note, SongMap
from tasks.packager.summary import clock, one_line

_WIDTH: Final = 1200.0
_LEFT: Final = 64.0
_RIGHT: Final = 12.0
_ROWS: Final = {"sections": 26.0, "chords": 24.0, "beats": 20.0, "melody": 150.0, "bass": 60.0, "lyrics": 26.0}
_GAP: Final = 10.0
_TOP: Final = 34.0
_BOTTOM: Final = 26.0
#: Colours that can be told apart without seeing red and green (Okabe and Ito 2008), lightened for text upon them.
_GROUP_COLOURS: Final = ("#9fd3f0", "#f5cf7d", "#8fd8bf", "#f2b38a", "#d9b3d0", "#b5c7e8", "#f3ea9a", "#c9c9c9")
_MELODY: Final = "#0072b2"
_HARMONY: Final = "#9fd3f0"
_BASS: Final = "#d55e00"
_LYRICS: Final = "#cfe3d4"
_INK: Final = "#222222"
_PALE: Final = "#888888"
_GRID: Final = "#dddddd"
#: Width of a character at the font size used (px), a little generous.
_CHARACTER: Final = 6.6
_TICKS_SEC: Final = (5, 10, 15, 30, 60, 120, 300, 600)
_MAX_TICKS: Final = 16
#: Lines nearer than this (px) would be a grey area.
_LEAST_STEP: Final = 2.5
_MAX_TEXTS: Final = 600


def timeline_svg(song_map: SongMap) -> str:
    """The picture as an SVG document: valid XML, no scripts, nothing loaded from elsewhere. At most about 300 kB for half an hour."""
    picture = _Picture(max(song_map.duration_sec, 1e-3))
    picture.title(one_line(song_map.title))
    picture.ticks()
    picture.spans("sections", [(s.start, s.end, f"{s.label} {s.index}", _colour_of(s.group, song_map)) for s in song_map.sections])
    chords = [chord for chord in song_map.chords if chord.label != "N"]
    performance = song_map.performance
    picture.spans("chords", [(c.start, c.end, c.display, "#eeeeee" if place % 2 else "#f8f8f8") for place, c in enumerate(chords)])
    picture.beats(song_map.beats, song_map.downbeats)
    picture.notes("melody", (_spans_of(performance.harmony), _HARMONY), (_spans_of(performance.melody), _MELODY))
    picture.notes("bass", (_spans_of(performance.bass), _BASS))
    picture.spans("lyrics", [(line.start, line.end, line.text, _LYRICS) for line in song_map.lyrics])
    return picture.document(f"Timeline of {one_line(song_map.title)}")


def _spans_of(notes: Iterable[Note]) -> list[tuple[float, float, int]]:
    return [(note.start, note.end, note.midi) for note in notes]


def _colour_of(group: str, song_map: SongMap) -> str:
    groups = list(dict.fromkeys(section.group for section in song_map.sections))
    return _GROUP_COLOURS[groups.index(group) % len(_GROUP_COLOURS)]


class _Picture:
    """Draws row under row; x is time."""

    def __init__(self, duration: float):
        self.duration = duration
        self.scale = (_WIDTH - _LEFT - _RIGHT) / duration
        self.parts: list[str] = []
        self.top: dict[str, float] = {}
        y = _TOP
        for name, height in _ROWS.items():
            self.top[name] = y
            y += height + _GAP
            self.parts.append(_text(4, self.top[name] + height / 2 + 4, name, _PALE))
        self.height = y + _BOTTOM

    def x(self, seconds: float) -> float:
        return _LEFT + min(max(seconds, 0.0), self.duration) * self.scale

    def title(self, text: str) -> None:
        self.parts.append(_text(_LEFT, 20, _fitting(text, _WIDTH - _LEFT - _RIGHT) or text[:20], _INK, bold=True))

    def ticks(self) -> None:
        step = next((step for step in _TICKS_SEC if self.duration / step <= _MAX_TICKS), _TICKS_SEC[-1])
        bottom = self.height - _BOTTOM
        for seconds in range(0, int(self.duration) + 1, step):
            x = self.x(seconds)
            self.parts.append(f'<path d="M{x:.1f} {_TOP - 4:.0f}V{bottom:.0f}" stroke="{_GRID}"/>')
            self.parts.append(_text(x, bottom + 14, clock(seconds), _PALE, middle=True))

    def spans(self, row: str, spans: Iterable[tuple[float, float, str, str]]) -> None:
        """Rectangles with a text in each that has room for it."""
        top, height = self.top[row], _ROWS[row]
        texts = 0
        by_colour: dict[str, list[str]] = {}
        labels = []
        for start, end, text, colour in spans:
            x, width = self.x(start), max(self.x(end) - self.x(start), 0.5)
            by_colour.setdefault(colour, []).append(f"M{x:.1f} {top:.0f}h{width:.1f}v{height:.0f}h{-width:.1f}z")
            fitting = _fitting(one_line(text), width - 4)
            if fitting and texts < _MAX_TEXTS:
                texts += 1
                labels.append(_text(x + 3, top + height / 2 + 4, fitting, _INK))
        for colour, paths in by_colour.items():
            self.parts.append(f'<path d="{"".join(paths)}" fill="{colour}" stroke="#fff"/>')
        self.parts += labels

    def beats(self, beats: Sequence[float], downbeats: Sequence[float]) -> None:
        """Bars as long lines, beats as short ones, as far as they can be told apart."""
        top, height = self.top["beats"], _ROWS["beats"]
        if self._apart(beats):
            self._lines(beats, top + height * 0.45, height * 0.55, _PALE)
        bars = list(downbeats)
        while bars and not self._apart(bars):
            bars = bars[::2]
        self._lines(bars, top, height, _INK)

    def _apart(self, times: Sequence[float]) -> bool:
        return len(times) * _LEAST_STEP <= _WIDTH

    def _lines(self, times: Sequence[float], top: float, height: float, colour: str) -> None:
        path = "".join(f"M{self.x(time):.1f} {top:.1f}v{height:.1f}" for time in times)
        if path:
            self.parts.append(f'<path d="{path}" stroke="{colour}"/>')

    def notes(self, row: str, *layers: tuple[Sequence[tuple[float, float, int]], str]) -> None:
        """A piano roll: high notes above, the last layer in front."""
        top, height = self.top[row], _ROWS[row]
        self.parts.append(f'<rect x="{_LEFT}" y="{top:.0f}" width="{_WIDTH - _LEFT - _RIGHT:.0f}" height="{height:.0f}" fill="#fafafa"/>')
        pitches = [midi for notes, _ in layers for *_, midi in notes]
        if not pitches:
            return
        lowest, highest = min(pitches) - 1, max(pitches) + 1
        step = height / (highest - lowest + 1)
        for notes, colour in layers:
            path = "".join(
                f"M{self.x(start):.1f} {top + (highest - midi + 0.5) * step:.1f}h{max((end - start) * self.scale, 0.6):.1f}"
                for start, end, midi in notes
            )
            if path:
                self.parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="{max(1.5, min(step * 0.8, 7.0)):.1f}" fill="none"/>')

    def document(self, description: str) -> str:
        size = f'width="{_WIDTH:.0f}" height="{self.height:.0f}" viewBox="0 0 {_WIDTH:.0f} {self.height:.0f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" role="img">'
            f"<title>{_xml(description)}</title>"
            f'<rect width="100%" height="100%" rx="6" fill="#ffffff"/>{"".join(self.parts)}</svg>\n'
        )


def _text(x: float, y: float, text: str, colour: str, bold: bool = False, middle: bool = False) -> str:
    style = (' font-weight="bold" font-size="14"' if bold else "") + (' text-anchor="middle"' if middle else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{style}>{_xml(text)}</text>'


def _fitting(text: str, width: float) -> str:
    """As much of a text as fits (px), or nothing where that would say nothing."""
    room = int(width / _CHARACTER)
    if len(text) <= room:
        return text
    return f"{text[: room - 1].rstrip()}…" if room >= 6 else ""


def _xml(text: str) -> str:
    """Text for XML: what XML may not hold is left out."""
    allowed = (c for c in text if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or "\U00010000" <= c <= "\U0010ffff")
    return escape("".join(allowed))
