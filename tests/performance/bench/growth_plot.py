"""The growth with length as a picture: an SVG with both axes logarithmic, a line a step, and a line of slope 1 to hold them against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final, NamedTuple

_WIDTH, _HEIGHT = 760, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 150, 40, 50
#: Of equal lightness, apart from each other also for those who confuse red and green (Okabe and Ito 2008, and three greys).
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f00", "#555555", "#000000")
#: Shown as this where the clock said 0.
_LEAST_SEC: Final = 0.01


class Axes(NamedTuple):
    """The ranges shown: minutes along, seconds upwards."""

    minutes: tuple[float, float]
    seconds: tuple[float, float]

    def x(self, minutes: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * _between(minutes, *self.minutes)

    def y(self, seconds: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * _between(seconds, *self.seconds)


def plot(figures: Mapping[str, Any]) -> str:
    """The SVG of the figures of `growth.measure`."""
    rows = list(figures["rows"].values())
    minutes = [float(row["minutes"]) for row in rows]
    steps = list(dict.fromkeys(step for row in rows for step in row["steps_sec"]))
    lines = {step: [max(_LEAST_SEC, row["steps_sec"].get(step, 0.0)) for row in rows] for step in steps}
    lines["all"] = [max(_LEAST_SEC, row["all_sec"]) for row in rows]
    axes = _axes(minutes, [value for line in lines.values() for value in line])
    parts = [*_grid(axes), _slope_of_one(axes)]
    for (step, seconds), colour in zip(lines.items(), _COLOURS * (1 + len(lines) // len(_COLOURS)), strict=False):
        parts += _line(axes, step, minutes, seconds, colour)
    parts += _names(axes, {step: seconds[-1] for step, seconds in lines.items()})
    title = f"{figures['song']}: seconds of each step over minutes of music"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">'
    ground = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    return "\n".join([head, ground, f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>', *parts, "</svg>", ""])


def _axes(minutes: Sequence[float], seconds: Sequence[float]) -> Axes:
    """Minutes as far as they go; seconds in whole decades."""
    shortest, longest = min(minutes), max(minutes)
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    return Axes((shortest, longest if longest > shortest else 2 * shortest), (10.0**low, 10.0 ** max(high, low + 1)))


def _between(value: float, low: float, high: float) -> float:
    """0 at low, 1 at high, and in proportion to the logarithm."""
    return math.log(value / low) / math.log(high / low)


def _grid(axes: Axes) -> list[str]:
    low, high = (round(math.log10(end)) for end in axes.seconds)
    left, right, bottom = _LEFT, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in (10.0**decade for decade in range(low, high + 1)):
        y = axes.y(value)
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g} s</text>')
    for value in _ticks(*axes.minutes):
        x = axes.x(value)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g} min</text>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """1, 3, 10, 30 ... between the ends, and the ends."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inner = [factor * 10.0**decade for decade in decades for factor in (1, 3)]
    return sorted({low, high, *(value for value in inner if low * 1.2 < value < high / 1.2)})


def _slope_of_one(axes: Axes) -> str:
    """From the lower left corner, as far as it stays in the picture."""
    (shortest, longest), (low, high) = axes.minutes, axes.seconds
    end = min(longest, shortest * high / low)
    x, y = axes.x(end), axes.y(low * end / shortest)
    line = f'<path d="M{axes.x(shortest):.1f} {axes.y(low):.1f}L{x:.1f} {y:.1f}" stroke="#999" stroke-dasharray="6 4"/>'
    return f'{line}\n<text x="{x - 4:.1f}" y="{y + 16:.1f}" fill="#777" text-anchor="end">slope 1: linear</text>'


def _line(axes: Axes, step: str, minutes: Sequence[float], seconds: Sequence[float], colour: str) -> list[str]:
    points = [(axes.x(minute), axes.y(second)) for minute, second in zip(minutes, seconds, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    width = 2.5 if step == "all" else 1.5
    marks = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"><title>{step}</title></polyline>', *marks]


def _names(axes: Axes, last: Mapping[str, float]) -> list[str]:
    """Each step's name where its line ends, moved down where two would overlap."""
    colours = dict(zip(last, _COLOURS * (1 + len(last) // len(_COLOURS)), strict=False))
    parts, lowest = [], 0.0
    for step, seconds in sorted(last.items(), key=lambda item: -item[1]):
        lowest = max(axes.y(seconds) + 4, lowest + 14)
        parts.append(f'<text x="{_WIDTH - _RIGHT + 10}" y="{lowest:.1f}" fill="{colours[step]}">{step} {seconds:.3g} s</text>')
    return parts
