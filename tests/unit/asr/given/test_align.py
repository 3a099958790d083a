"""Given lyrics in the place of heard ones, with an aligner that puts words at even distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from schemas.results import TimeSpan, Word
from tasks.asr.accompaniment import Sound
from tasks.asr.given.align import align_given
from tasks.asr.recognizer import RecognizedWord

SECONDS = 20
SUNG = ["the", "morning", "finds", "me", "walking", "down", "river", "road", "again"]


class Even:
    """Words at even distances between the times."""

    languages = ("en",)

    def encode(self, samples: Any) -> Any:
        return None

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        edges = np.linspace(start, end, len(words) + 1)
        return tuple(RecognizedWord(float(a), float(b), word, 0.9) for word, a, b in zip(words, edges[:-1], edges[1:], strict=True))


def heard(words: Sequence[str], start: float = 1.0) -> list[Word]:
    return [Word(start=start + 0.5 * n, end=start + 0.5 * n + 0.4, text=word, confidence=0.9) for n, word in enumerate(words)]


@pytest.fixture
def sound() -> Sound:
    samples = (0.1 * np.sin(2 * np.pi * 220 * np.arange(SECONDS * 16000) / 16000)).astype(np.float32)
    return Sound(samples, samples)


def aligned(text: str, words: list[Word], sound: Sound) -> Any:
    return align_given(text, words, [TimeSpan(start=0.5, end=6.0)], sound, Even(), "en", float(SECONDS))


def test_the_text_is_what_was_given_and_heard_words_keep_their_times(sound: Sound) -> None:
    text = "[Verse]\nThe morning finds me,\nwalking down river road AGAIN!"
    lines, given = aligned(text, heard(SUNG), sound)
    assert [line.text for line in lines] == ["The morning finds me,", "walking down river road AGAIN!"]
    assert [word.start for line in lines for word in line.words] == [1.0 + 0.5 * n for n in range(len(SUNG))]
    assert (given.fits, given.unplaced) == (True, ())
    assert [(header.start, header.text, header.label) for header in given.headers] == [(1.0, "Verse", "verse")]


def test_a_word_that_was_not_heard_is_placed_between_its_neighbours(sound: Sound) -> None:
    words = heard(SUNG)
    del words[4]
    lines, given = aligned(" ".join(SUNG), words, sound)
    assert [word.text for word in lines[0].words] == SUNG
    assert words[3].start < lines[0].words[4].start < words[4].start
    assert given.unplaced == ()


def test_a_line_for_which_there_is_no_time_is_flagged_and_not_placed(sound: Sound) -> None:
    text = "the morning finds me\nnobody ever painted yellow elephants\nwalking down river road again"
    lines, given = aligned(text, heard(SUNG), sound)
    assert [line.text for line in lines] == ["the morning finds me", "walking down river road again"]
    assert {word.line for word in given.unplaced} == {2}
    assert [word.text for word in given.unplaced] == ["nobody", "ever", "painted", "yellow", "elephants"]


def test_lyrics_of_another_song_are_refused(sound: Sound) -> None:
    lines, given = aligned("completely different lyrics about yellow elephants\nand borrowed brushes", heard(SUNG), sound)
    assert (lines, given.fits, given.words) == ((), False, 9)
