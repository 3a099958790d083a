"""A flame graph as SVG: a box a function, as wide as its share of the samples, below the one that called it. The box under the pointer says
its whole name. Only the step is drawn, so that the picture stays small: py-spy's own would be mostly the imports before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Final, NamedTuple

from tests.performance.bench.samples import Stacks

_WIDTH, _ROW, _TOP = 1200, 17, 30
_LETTER: Final = 6.7
#: Boxes narrower than this, in pixels, are not drawn.
_NARROWEST: Final = 1
_OURS, _OTHERS = "#f0b27a", "#d5dbdb"


@dataclass
class Node:
    """A function as called from one place: its samples, and what it called."""

    samples: int = 0
    calls: dict[str, Node] = field(default_factory=dict)


class Box(NamedTuple):
    """left, width: shares of the whole. depth: 0 for what nothing called."""

    name: str
    depth: int
    left: float
    width: float
    samples: int


def draw(title: str, stacks: Stacks) -> str:
    """The SVG of at least one sample."""
    root = grow(stacks)
    boxes = [box for box in lay_out(root) if box.width * _WIDTH >= _NARROWEST]
    height = _TOP + _ROW * (1 + max(box.depth for box in boxes)) + 10
    style = 'font-family="monospace" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {style}>'
    ground = f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    words = f'<text x="6" y="20" font-size="14">{escape(title)}: {root.samples} samples</text>'
    return "\n".join([head, ground, words, *(_drawn(box, root.samples) for box in boxes), "</svg>", ""])


def grow(stacks: Stacks) -> Node:
    """The tree of calls."""
    root = Node()
    for stack, samples in stacks.items():
        node = root
        node.samples += samples
        for frame in stack:
            node = node.calls.setdefault(frame, Node())
            node.samples += samples
    return root


def lay_out(root: Node) -> Iterator[Box]:
    """The boxes of all functions; what one function called stands side by side, the most samples first."""

    def below(node: Node, depth: int, left: int) -> Iterator[Box]:
        for name, call in sorted(node.calls.items(), key=lambda item: -item[1].samples):
            yield Box(name, depth, left / root.samples, call.samples / root.samples, call.samples)
            yield from below(call, depth + 1, left)
            left += call.samples

    return below(root, 0, 0)


def _drawn(box: Box, total: int) -> str:
    x, y, width = box.left * _WIDTH, _TOP + box.depth * _ROW, box.width * _WIDTH
    colour = _OURS if "(tasks/" in box.name else _OTHERS
    name = f"<title>{escape(box.name)}: {box.samples} samples, {box.samples / total:.1%}</title>"
    rect = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}" fill="{colour}" stroke="white" stroke-width=".5"/>'
    letters = int((width - 6) / _LETTER)
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(box.name[:letters])}</text>' if letters > 2 else ""
    return f"<g>{name}{rect}{text}</g>"
