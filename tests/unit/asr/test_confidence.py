"""How sure a word is said to be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asr.confidence import LINES, calibrated
from tasks.asr.recognizer import RecognizedSegment, RecognizedWord


def confidence(probability: float, model: str) -> float:
    ((word,),) = calibrated([[RecognizedWord(1.0, 2.0, " sea", probability)]], model)
    assert (word.start, word.end, word.text) == (1.0, 2.0, " sea")
    return word.probability


@pytest.mark.parametrize("model", LINES)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_likelier_word_is_never_less_sure(model: str, one: float, other: float) -> None:
    less, more = (confidence(probability, model) for probability in sorted((one, other)))
    assert 0 < less <= more < 1


def test_base_is_surer_of_its_words_than_it_should_be_and_less_where_it_doubts() -> None:
    assert confidence(0.99, "whisper-base") < 0.985
    assert confidence(0.2, "whisper-base") > 0.3


def test_both_packages_of_the_same_weights_are_as_sure() -> None:
    assert confidence(0.7, "openai-whisper-base") == confidence(0.7, "whisper-base") != 0.7


def test_a_model_that_was_never_measured_is_believed(segment: Callable[..., RecognizedSegment]) -> None:
    phrase = segment("hello sea", probability=0.7).words
    assert calibrated([phrase], "whisper-large-v3") == (phrase,)
