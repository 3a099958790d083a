"""Chord boxes: a fingering as a small picture (SVG), strings from left to right, frets from the nut down. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

from tasks.common.harmony import harte, spelling
from tasks.export.fingering import Fingering, fingering

_STRING: Final = 8
_FRET: Final = 10
_LEFT: Final = 12
_TOP: Final = 24
_ROWS: Final = 4


def box_of(label: str, name: str, tuning: tuple[int, ...]) -> str | None:
    """The box of a chord in Harte's syntax; None for no chord, and where no hand can play it. name: what stands above it."""
    chord = harte.parse(label)
    if chord is None:
        return None
    root = spelling.pitch_class(chord.root)
    notes = tuple(dict.fromkeys((root + tone) % 12 for tone in harte.tones(chord.quality)))
    bass = spelling.pitch_class(chord.bass_note) if chord.bass_note else root
    found = fingering(notes, bass, tuning)
    return None if found is None else _drawn(found, name)


def _drawn(frets: Fingering, name: str) -> str:
    pressed = [fret for fret in frets if fret]
    first = 1 if max(pressed, default=0) <= _ROWS else min(pressed)
    right, bottom = _LEFT + _STRING * (len(frets) - 1), _TOP + _FRET * _ROWS
    middle = (_LEFT + right) / 2
    shapes = [f'<text x="{middle}" y="9" class="n">{escape(name)}</text>']
    shapes += [f'<path d="M{_LEFT} {_TOP + _FRET * row}H{right}"/>' for row in range(_ROWS + 1)]
    shapes += [f'<path d="M{_LEFT + _STRING * nth} {_TOP}V{bottom}"/>' for nth in range(len(frets))]
    if first == 1:
        shapes.append(f'<path d="M{_LEFT - 0.5} {_TOP}H{right + 0.5}" stroke-width="2.5"/>')
    else:
        shapes.append(f'<text x="{_LEFT - 3}" y="{_TOP + 8}" class="f">{first}</text>')
    for nth, fret in enumerate(frets):
        x = _LEFT + _STRING * nth
        if fret:
            shapes.append(f'<circle cx="{x}" cy="{_TOP + _FRET * (fret - first + 0.5)}" r="3"/>')
        else:
            shapes.append(f'<text x="{x}" y="{_TOP - 4}" class="o">{"×" if fret is None else "○"}</text>')
    spoken = " ".join("x" if fret is None else str(fret) for fret in frets)
    size = f'width="{right + 8}" height="{bottom + 3}" viewBox="0 0 {right + 8} {bottom + 3}"'
    return f'<svg {size} role="img" aria-label="{escape(name)}: {spoken}">{"".join(shapes)}</svg>'
