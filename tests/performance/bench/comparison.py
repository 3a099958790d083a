"""Two documents of figures side by side: what became faster, slower, larger or smaller. It tells; it never fails."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.performance.bench.document import Document
from tests.performance.bench.tables import table

#: Below this, two runs on one machine differ anyway.
_WORTH_TELLING: Final = 0.10
_UNITS: Final = ("_sec", "_mib")
_RATIO: Final = re.compile(r"(?:^|_)(times|share)(?:_|$)")


class Moved(NamedTuple):
    """ratio: after / before; None where there was nothing before."""

    part: str
    figure: str
    before: float
    after: float
    ratio: float | None


def moved(before: Document, after: Document) -> list[Moved]:
    """The figures that both documents have and that differ by more than 10 %, in the order of the later one."""
    found = []
    for part, figures in after["parts"].items():
        earlier = dict(_figures(before["parts"].get(part, {})))
        for name, value in _figures(figures):
            if name in earlier and _differs(earlier[name], value):
                ratio = round(value / earlier[name], 3) if earlier[name] else None
                found.append(Moved(part, name, earlier[name], value, ratio))
    return found


def other_hardware(before: Document, after: Document) -> list[str]:
    """What differs of the machines, one text a difference: `cores 2, now 4 (song, startup)`."""
    differing: dict[str, list[str]] = {}
    for part in after["parts"]:
        was, now = (document["parts"].get(part, {}).get("hardware") for document in (before, after))
        if was and now:
            for name in dict.fromkeys((*was, *now)):
                if was.get(name) != now.get(name):
                    differing.setdefault(f"{name} {was.get(name)}, now {now.get(name)}", []).append(part)
    return [f"{what} ({', '.join(parts)})" for what, parts in differing.items()]


def report(before: Document, after: Document) -> str:
    """The comparison in words and as a table; empty where the documents have no part in common."""
    if not set(before["parts"]) & set(after["parts"]):
        return ""
    lines = []
    if hardware := other_hardware(before, after):
        lines.append(f"The hardware differs, so that the figures do not compare: {'; '.join(hardware)}.")
    rows = moved(before, after)
    if rows:
        lines.append(f"Moved by more than {_WORTH_TELLING:.0%} since the earlier run:\n")
        lines.append(table(("part", "figure", "before", "after", "ratio"), rows))
    else:
        lines.append(f"Nothing moved by more than {_WORTH_TELLING:.0%} since the earlier run.")
    return "\n".join(lines)


def _figures(node: Any, path: tuple[str, ...] = (), counts: bool = False) -> Iterator[tuple[str, float]]:
    """The numbers in a part that are seconds, MiB or ratios, each with the keys that lead to it. A key's unit holds for all below it."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _figures(value, (*path, str(key)), counts or _is_measured(str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _figures(value, (*path, str(index + 1)), counts)
    elif counts and isinstance(node, int | float) and not isinstance(node, bool):
        yield ": ".join(path), float(node)


def _is_measured(key: str) -> bool:
    return key.endswith(_UNITS) or _RATIO.search(key) is not None


def _differs(before: float, after: float) -> bool:
    return abs(after - before) > _WORTH_TELLING * abs(before)
