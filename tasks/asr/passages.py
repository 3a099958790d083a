"""Which stretches of the song are decoded: those with a voice, cut at its pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.results import TimeSpan


@dataclass(frozen=True)
class Passage:
    """A stretch of the song that is decoded on its own, in seconds."""

    start: float
    end: float


#: Pauses up to this length stay inside a passage: Whisper reads 30 s at a time and does better with context.
BRIDGE_SEC = 5.0
#: Sound before and after the voice that goes with it.
PAD_SEC = 0.5
#: The longest passage. It bounds the memory of the spectrogram, whatever the length of the song.
MAX_PASSAGE_SEC = 120.0


def passages_of(voice_activity: Sequence[TimeSpan], duration_sec: float) -> tuple[Passage, ...]:
    """Sorted, disjoint passages that hold every span of voice activity; none longer than `MAX_PASSAGE_SEC`."""
    groups: list[list[TimeSpan]] = []
    for span in voice_activity:
        if groups and span.start - groups[-1][-1].end <= BRIDGE_SEC:
            groups[-1].append(span)
        else:
            groups.append([span])
    edges = [edge for group in groups for edge in _cut_long(group)]
    passages: list[Passage] = []
    for start, end in edges:
        # Padding ends where the neighbour begins: passages never share sound, so no word is heard twice.
        earliest = passages[-1].end if passages else 0.0
        passages.append(Passage(max(earliest, start - PAD_SEC), end))
    return tuple(
        Passage(this.start, min(duration_sec, this.end + PAD_SEC, after.start if after else duration_sec))
        for this, after in zip(passages, [*passages[1:], None], strict=False)
    )


def _cut_long(group: list[TimeSpan]) -> list[tuple[float, float]]:
    """(start, end) of a group of spans, cut at its longest pauses until each part is short enough; a span without pauses is cut evenly."""
    start, end = group[0].start, group[-1].end
    longest = MAX_PASSAGE_SEC - 2 * PAD_SEC
    if end - start <= longest:
        return [(start, end)]
    if len(group) == 1:
        parts = int(-(-(end - start) // longest))
        step = (end - start) / parts
        return [(start + i * step, start + (i + 1) * step) for i in range(parts)]
    # The longest pause, the one nearest to the middle among equals.
    middle = (start + end) / 2
    cut = max(
        range(1, len(group)),
        key=lambda i: (round(group[i].start - group[i - 1].end, 3), -abs((group[i].start + group[i - 1].end) / 2 - middle)),
    )
    return _cut_long(group[:cut]) + _cut_long(group[cut:])
