"""How the vocal stem sharpens the times of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.asr.recognizer import RecognizedWord
from tasks.asr.timing import EARLY_SEC, sharpened
from tasks.asr.voice_activity import HOP_SEC


def levels(*parts: tuple[float, float]) -> np.ndarray:
    return np.concatenate([np.full(round(seconds / HOP_SEC), value, np.float32) for seconds, value in parts])


def only(word: RecognizedWord, vocals_db: np.ndarray | None) -> RecognizedWord:
    ((found,),) = sharpened([[word]], vocals_db)
    return found


def test_a_word_loses_the_pauses_at_its_ends() -> None:
    found = only(RecognizedWord(1.0, 5.0, " sea", 0.9), levels((2, -80), (1, -20), (5, -80)))
    assert (found.start, found.end) == (pytest.approx(2.0), pytest.approx(3.0))


def test_a_word_starts_where_the_level_jumps() -> None:
    found = only(RecognizedWord(1.0, 2.0, " sea", 0.9), levels((1.2, -28), (3, -20)))
    assert found.start == pytest.approx(1.2)
    assert found.end == 2.0


def test_without_a_jump_the_usual_error_is_put_right() -> None:
    assert only(RecognizedWord(1.0, 2.0, " sea", 0.9), levels((4, -20))).start == pytest.approx(1.0 + EARLY_SEC)


def test_without_a_stem_the_usual_error_is_put_right() -> None:
    assert only(RecognizedWord(1.0, 2.0, " sea", 0.9), None).start == pytest.approx(1.0 + EARLY_SEC)


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=20),
    st.lists(st.sampled_from([-90.0, -40.0, -25.0, -20.0]), min_size=1, max_size=400),
)
def test_words_only_ever_shrink_and_never_vanish(lengths: list[float], values: list[float]) -> None:
    ends = np.cumsum(lengths)
    words = [RecognizedWord(float(end - length), float(end), " a", 0.5) for end, length in zip(ends, lengths, strict=True)]
    (found,) = sharpened([words], np.asarray(values, np.float32))
    for before, after in zip(words, found, strict=True):
        assert before.start <= after.start <= after.end <= before.end
        assert after.end - after.start >= min(0.04, before.end - before.start) - 1e-9
