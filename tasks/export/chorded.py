"""A line of lyrics cut where its chords stand: what chord sheets write. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.song_map import Chord
from tasks.export.lines import SungLine


@dataclass(frozen=True, slots=True)
class Piece:
    """Text with the chords that stand over its first letter. text: empty where chords follow each other, or stand after the line."""

    chords: tuple[Chord, ...]
    text: str


def pieces_of(sung: SungLine) -> tuple[Piece, ...]:
    """The pieces of a line in order; their texts together are the line's text. Only the first one may be without chords."""
    text, starts = _laid_out(sung)
    cuts: dict[int, list[Chord]] = {}
    for placed in sung.chords:
        at = len(text) if placed.word >= len(sung.words) else starts[placed.word] + placed.letter
        cuts.setdefault(min(at, len(text)), []).append(placed.chord)
    edges = sorted({0, *cuts})
    texts = [text[start:end] for start, end in zip(edges, [*edges[1:], len(text)], strict=True)]
    return tuple(Piece(_shown(cuts.get(start, [])), part) for start, part in zip(edges, texts, strict=True))


def _shown(chords: Sequence[Chord]) -> tuple[Chord, ...]:
    """Of chords in one place those that a reader plays: no rest where another chord follows there."""
    last = len(chords) - 1
    return tuple(chord for nth, chord in enumerate(chords) if nth == last or chord.root is not None)


def _laid_out(sung: SungLine) -> tuple[str, Sequence[int]]:
    """The line's text, and where in it each word begins. A line whose text is not that of its words is written as the words are."""
    text, starts = sung.line.text, []
    end = 0
    for word in sung.words:
        at = text.find(word.text, end)
        if at < 0:
            return _joined([word.text for word in sung.words])
        starts.append(at)
        end = at + len(word.text)
    return text, starts


def _joined(words: Sequence[str]) -> tuple[str, Sequence[int]]:
    starts, length = [], 0
    for word in words:
        starts.append(length)
        length += len(word) + 1
    return " ".join(words), starts
