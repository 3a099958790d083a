"""How words become lines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asr.lines import MAX_CHARACTERS, MAX_WORDS, lines_of
from tasks.asr.recognizer import RecognizedSegment, RecognizedWord


def test_lines_agree_with_the_golden_cases(golden: Callable[[str], Any]) -> None:
    for case in golden("lines"):
        phrases = [[RecognizedWord(start, end, text, 0.8) for start, end, text in phrase] for phrase in case["phrases"]]
        assert [line.text for line in lines_of(phrases)] == case["expected"], case["says"]


def test_a_line_spans_its_words_and_averages_their_confidence() -> None:
    (line,) = lines_of([[RecognizedWord(1.0, 1.5, " Hello,", 0.5), RecognizedWord(1.6, 2.0, " you", 1.0)]])
    assert (line.start, line.end, line.confidence) == (1.0, 2.0, 0.75)
    assert [word.text for word in line.words] == ["Hello,", "you"]


def test_a_probability_just_above_one_is_a_confidence_of_one() -> None:
    (line,) = lines_of([[RecognizedWord(1.0, 1.5, " Hey", 1.0000001)]])
    assert line.confidence == line.words[0].confidence == 1.0


def test_no_words_give_no_lines() -> None:
    assert lines_of([]) == ()


@given(st.integers(1, 80), st.integers(0, 3))
def test_long_texts_are_cut_into_lines_that_lose_nothing(count: int, pause: int) -> None:
    words = [RecognizedWord(index * (1 + pause / 10), index * (1 + pause / 10) + 1, " word", 0.5) for index in range(count)]
    lines = lines_of([words])
    assert sum(len(line.words) for line in lines) == count
    assert all(len(line.words) <= MAX_WORDS and len(line.text) <= MAX_CHARACTERS for line in lines)
    assert all(after.start >= before.end for before, after in pairwise(lines))


@pytest.mark.parametrize("mark", [".", "!", "?", "…", "。"])
def test_a_sentence_ends_a_line(segment: Callable[..., RecognizedSegment], mark: str) -> None:
    assert len(lines_of([segment(f"we{mark} are").words])) == 2
