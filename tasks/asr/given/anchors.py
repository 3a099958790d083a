"""Times that the given text brings itself (LRC, subtitles, charts), as anchors: where they are those of this recording, and only there.

Such a file may be of another edition of the song, which begins later or earlier, or runs otherwise. The words that were heard say which:
the median of how much later they are is taken as the shift, and the times are trusted where most of those words then agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from schemas.results import Word
from tasks.asr.given.matching import Pair
from tasks.asr.given.text import GivenText
from tasks.asr.recognizer import RecognizedWord
from tasks.asr.timing import sharpened
from tasks.asr.voice_activity import Frames

#: So many words that were heard must have a time of their own in the text, and so great a share of them agree to so many seconds.
FEWEST, AGREEING, AGREE_SEC = 3, 0.6, 1.0
#: A word that was heard further than this from where its line is, by the text's times, is another one.
STRAY_SEC = 2.0
#: How early people and programs set the time of a line, at most: the onset is sought from so long before it.
EARLY_SEC: Final = 0.1
#: A word that only its time holds in place is said to be so likely.
BELIEVED: Final = 0.5
_WORD_SEC: Final = 0.5


@dataclass(frozen=True)
class Anchored:
    """What holds given words in place.

    words: those that were heard, and those whose time the text says, by time. pairs: which given words they are, in the order of both; the
    likeness is 0 where only a time says so. shift: seconds by which the song is later than the text's times; None where they were not used.
    """

    words: tuple[Word, ...]
    pairs: tuple[Pair, ...]
    shift: float | None


def anchored(text: GivenText, heard: Sequence[Word], held: Sequence[Pair], levels: Frames, duration_sec: float) -> Anchored:
    """The pairs that hold words in place, and with them the text's own times, where they are those of this recording.

    held: the pairs that hold, by heard word. levels: of the voice, as of `timing.sharpened`.
    """
    times = _times(text)
    shift = _shift(times, heard, held)
    if shift is None:
        return Anchored(tuple(heard), tuple(held), None)
    spans = _spans(text, shift)
    found: dict[int, tuple[float, Word, float]] = {}
    for pair in held:
        word = heard[pair.heard]
        begin, end = spans[pair.given]
        if begin - STRAY_SEC <= word.start <= end + STRAY_SEC and pair.given not in found:
            found[pair.given] = (word.start, word, pair.likeness)
    for given, time in times.items():
        if given not in found and 0 <= time + shift < duration_sec:
            word = _word(text.words[given].text, time + shift, levels, duration_sec)
            found[given] = (word.start, word, 0.0)
    kept = _rising([(given, *entry) for given, entry in sorted(found.items())])
    used = {id(word) for _, _, word, _ in kept}
    words = sorted([*(word for _, _, word, _ in kept), *(word for word in heard if id(word) not in used)], key=lambda word: word.start)
    where = {id(word): index for index, word in enumerate(words)}
    return Anchored(tuple(words), tuple(Pair(where[id(word)], given, likeness) for given, _, word, likeness in kept), shift)


def _times(text: GivenText) -> dict[int, float]:
    """The words with a time, and the first words of lines with one."""
    found: dict[int, float] = {}
    index = 0
    for line in text.lines:
        for nth, word in enumerate(line.words):
            time = word.time if word.time is not None else line.time if nth == 0 else None
            if time is not None:
                found[index + nth] = time
        index += len(line.words)
    return found


def _shift(times: dict[int, float], heard: Sequence[Word], held: Sequence[Pair]) -> float | None:
    later = np.array([heard[pair.heard].start - times[pair.given] for pair in held if pair.given in times])
    if len(later) < FEWEST:
        return None
    median = float(np.median(later))
    return median if float(np.mean(np.abs(later - median) <= AGREE_SEC)) >= AGREEING else None


def _spans(text: GivenText, shift: float) -> list[tuple[float, float]]:
    """For each word, the time in which its line is: from its own time to that of the next line with one."""
    begins = [line.time + shift if line.time is not None else None for line in text.lines]
    spans: list[tuple[float, float]] = []
    begin = 0.0
    for number, line in enumerate(text.lines):
        begin = begins[number] if begins[number] is not None else begin  # type: ignore[assignment]
        end = next((time for time in begins[number + 1 :] if time is not None), float("inf"))
        spans += [(begin, end)] * len(line.words)
    return spans


def _word(text: str, time: float, levels: Frames, duration_sec: float) -> Word:
    """A word at the onset of the voice next to a time."""
    start = max(0.0, time - EARLY_SEC)
    end = min(start + _WORD_SEC, duration_sec)
    sharp = sharpened([[RecognizedWord(start, end, "", BELIEVED)]], levels)[0][0]
    return Word(start=round(sharp.start, 3), end=round(max(sharp.end, sharp.start + 0.01), 3), text=text, confidence=BELIEVED)


def _rising(entries: Sequence[tuple[int, float, Word, float]]) -> list[tuple[int, float, Word, float]]:
    """The entries, by given word, whose times rise: what was heard goes before what only a time says."""
    kept: list[tuple[int, float, Word, float]] = []
    for entry in entries:
        while kept and kept[-1][1] >= entry[1] and kept[-1][3] == 0.0 and entry[3] > 0.0:
            kept.pop()
        if not kept or kept[-1][1] < entry[1]:
            kept.append(entry)
    cut = [_ended(this, after[1]) for this, after in pairwise(kept)]
    return [*cut, *kept[-1:]]


def _ended(entry: tuple[int, float, Word, float], next_start: float) -> tuple[int, float, Word, float]:
    """A word that only its time holds ends where the next begins, at the latest."""
    given, start, word, likeness = entry
    if likeness > 0.0 or word.end <= next_start:
        return entry
    return given, start, word.model_copy(update={"end": max(next_start, word.start + 0.001)}), likeness
