"""Times in the given text: used where they are those of the recording, and only there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from schemas.results import Word
from tasks.asr.given.anchors import Anchored, anchored
from tasks.asr.given.matching import Pair
from tasks.asr.given.placing import holding, matched
from tasks.asr.given.text import plain_word, read_text

LINES = ["the morning finds me", "walking down the river", "somebody is humming", "under seven bridges"]
BEGIN = [2.0, 6.0, 10.0, 14.0]


def heard(lines: Sequence[int], later: float = 0.0) -> list[Word]:
    return [
        Word(start=BEGIN[n] + later + 0.5 * at, end=BEGIN[n] + later + 0.5 * at + 0.4, text=word, confidence=0.9)
        for n in lines
        for at, word in enumerate(LINES[n].split())
    ]


def lrc(times: Sequence[float] = BEGIN) -> str:
    return "\n".join(f"[{int(time // 60):02d}:{time % 60:05.2f}]{line}" for time, line in zip(times, LINES, strict=True))


def found(text: str, words: list[Word], pairs: list[Pair] | None = None) -> Anchored:
    read = read_text(text)
    held = holding(matched(read, words), [plain_word(word.text) for word in read.words], words) if pairs is None else pairs
    return anchored(read, words, held, np.full(2000, -20.0, np.float32), 40.0)


def starts(anchors: Anchored) -> dict[int, float]:
    return {pair.given: anchors.words[pair.heard].start for pair in anchors.pairs}


@pytest.mark.parametrize("later", [0.0, 5.0])
def test_a_line_that_nobody_heard_begins_where_its_time_says_also_in_another_edition(later: float) -> None:
    anchors = found(lrc(), heard([0, 1, 3], later))
    assert anchors.shift == pytest.approx(later)
    first = len(" ".join(LINES[:2]).split())
    assert starts(anchors)[first] == pytest.approx(BEGIN[2] + later, abs=0.15)
    assert sorted(starts(anchors).values()) == list(starts(anchors).values())


def test_times_that_do_not_agree_with_what_was_heard_are_not_used() -> None:
    words = heard([0, 1, 3])
    anchors = found(lrc([1.0, 15.0, 16.0, 31.0]), words)
    assert anchors.shift is None
    assert anchors.words == tuple(words)


def test_a_text_without_times_changes_nothing() -> None:
    words = heard([0, 1, 3])
    anchors = found("\n".join(LINES), words)
    assert (anchors.shift, anchors.words) == (None, tuple(words))


def test_a_heard_word_far_from_its_line_is_another_one() -> None:
    words = heard([0, 1, 2, 3])
    astray = [
        Word(start=30.0 + 0.5 * n, end=30.4 + 0.5 * n, text=text, confidence=0.9) for n, text in enumerate(["somebody", "is", "humming"])
    ]
    third = len(" ".join(LINES[:2]).split())
    held = [Pair(n, n, 1.0) for n in range(third)] + [Pair(len(words) + n, third + n, 1.0) for n in range(3)]
    anchors = found(lrc(), [*words, *astray], held)
    assert starts(anchors)[third] == pytest.approx(BEGIN[2], abs=0.15)
    assert max(starts(anchors).values()) < 16.0


def test_times_of_words_hold_each_of_them() -> None:
    timed = "[00:10.00]<00:10.00>somebody <00:10.70>is <00:11.10>humming"
    anchors = found("\n".join([*lrc().split("\n")[:2], timed, lrc().split("\n")[3]]), heard([0, 1, 3]))
    third = len(" ".join(LINES[:2]).split())
    assert [starts(anchors)[third + n] for n in range(3)] == pytest.approx([10.0, 10.7, 11.1], abs=0.15)
