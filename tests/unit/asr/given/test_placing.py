"""Where words are placed that nobody heard, by a model whose attention runs through them at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from schemas.results import TimeSpan, Word
from tasks.asr.accompaniment import Sound
from tasks.asr.given.placing import place
from tasks.asr.given.text import read_text
from tasks.asr.recognizer import RecognizedWord


class Hasty:
    """All words but the last within 20 ms each of the beginning."""

    languages = ("en",)

    def encode(self, samples: Any) -> Any:
        return None

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        edges = [start + 0.02 * n for n in range(len(words))] + [end]
        return tuple(RecognizedWord(a, b, word, 0.9) for word, a, b in zip(words, edges, edges[1:], strict=False))


@pytest.mark.parametrize("voice_from", [0.5, 5.0])
def test_words_that_crowd_are_spread_over_the_voice(voice_from: float) -> None:
    heard = [
        Word(start=start, end=start + 0.4, text=text, confidence=0.9)
        for start, text in [(1.0, "carry"), (1.5, "homeward"), (7.5, "evening"), (8.0, "lights")]
    ]
    text = read_text("carry homeward every burning candle evening lights")
    samples = (0.1 * np.sin(2 * np.pi * 220 * np.arange(12 * 16000) / 16000)).astype(np.float32)
    voice = [TimeSpan(start=0.5, end=2.0), TimeSpan(start=max(voice_from, 2.0), end=9.0)]
    placed = place(text, heard, voice, Sound(samples, samples), Hasty(), "en", 12.0)
    starts = [word.start for word in placed.words]
    assert [starts[n] for n in (0, 1, 5, 6)] == [1.0, 1.5, 7.5, 8.0]
    assert starts == sorted(starts)
    assert all(after - before > 0.3 for before, after in pairwise(starts[2:6]))
    assert all(time > voice_from - 0.1 for time in starts[3:5])
