"""How passages are decoded: the language, the tries, the progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tasks.asr.accompaniment import Sound
from tasks.asr.decoding import transcribe_passages
from tasks.asr.passages import Passage
from tasks.asr.recognizer import RecognizedSegment
from tasks.common.errors import LanguageUnsupported

Segment = Callable[..., RecognizedSegment]


def sound(seconds: float) -> Sound:
    """Vocals at half, accompaniment at a quarter of full scale."""
    ones = np.ones(round(seconds * 16000), np.float32)
    return Sound(0.75 * ones, 0.5 * ones)


def test_the_recogniser_hears_the_voice_over_the_turned_down_mix(recognizer: Any, segment: Segment) -> None:
    heard: list[float] = []
    transcribe_passages(recognizer(lambda samples: heard.append(float(samples[0])) or []), sound(10), [Passage(0, 10)], None)
    assert heard == [pytest.approx(0.5 + 0.3 * 0.25)]


def test_without_a_stem_it_hears_the_mix(recognizer: Any) -> None:
    heard: list[float] = []
    mix = Sound(np.full(160000, 0.75, np.float32), None)
    transcribe_passages(recognizer(lambda samples: heard.append(float(samples[0])) or []), mix, [Passage(0, 10)], None)
    assert heard == [0.75]


def test_word_times_count_from_the_start_of_the_song(recognizer: Any, segment: Segment) -> None:
    found = transcribe_passages(recognizer(lambda _: [segment("hello")]), sound(40), [Passage(5, 10), Passage(20.5, 30)], None)
    assert [part.words[0].start for part in found.segments] == [5.0, 20.5]


def test_an_english_model_is_not_asked_for_the_language(recognizer: Any) -> None:
    model = recognizer(lambda _: [])
    found = transcribe_passages(model, sound(10), [Passage(0, 10)], None)
    assert (found.language, found.language_confidence, model.listened) == ("en", None, [])


def test_an_english_model_refuses_other_languages(recognizer: Any) -> None:
    with pytest.raises(LanguageUnsupported, match=r"'fr'.*English only"):
        transcribe_passages(recognizer(lambda _: []), sound(10), [Passage(0, 10)], "fr")


def test_a_given_language_is_used_and_not_judged(recognizer: Any) -> None:
    model = recognizer(lambda _: [], ("en", "fr"))
    found = transcribe_passages(model, sound(10), [Passage(0, 10)], "fr")
    assert (found.language, found.language_confidence, model.listened) == ("fr", None, [])
    assert model.decoded == [(10.0, "fr")]


def test_the_language_is_told_from_the_longest_passages_weighted_by_length(recognizer: Any) -> None:
    model = recognizer(lambda _: [], ("en", "fr"))
    model.probabilities = [{"en": 0.2, "fr": 0.8}, {"en": 0.9, "fr": 0.1}]
    found = transcribe_passages(model, sound(80), [Passage(0, 6), Passage(20, 80)], None)
    assert model.listened == [30.0, 6.0]
    assert found.language == "fr"
    assert found.language_confidence == pytest.approx((30 * 0.8 + 6 * 0.1) / 36)


def test_a_loop_is_heard_again_on_the_mix(recognizer: Any, segment: Segment) -> None:
    stuck, well = segment("I'm out " * 40, step=0.2), segment("space invaders")
    model = recognizer(lambda samples: [well] if samples[0] > 0.7 else [stuck])
    found = transcribe_passages(model, sound(25), [Passage(0, 25)], None)
    assert [part.words[0].text for part in found.segments] == [" space"]


def test_only_the_window_with_the_loop_is_heard_again(recognizer: Any, segment: Segment) -> None:
    good, stuck = segment("morning light"), segment("I'm out " * 40, start=30.0, step=0.2, window=30.0)
    model = recognizer(lambda samples: [segment("again")] if samples[0] > 0.7 else [good, stuck])
    found = transcribe_passages(model, sound(50), [Passage(0, 50)], None)
    assert [length for length, _ in model.decoded] == [50.0, 20.0]
    assert [(part.words[0].text, part.words[0].start) for part in found.segments] == [(" morning", 0.0), (" again", 30.0)]


def test_a_loop_on_every_balance_is_heard_in_two_parts(recognizer: Any, segment: Segment) -> None:
    def script(samples: np.ndarray) -> list[RecognizedSegment]:
        return [segment("I'm out " * 40, step=0.2)] if len(samples) > 16 * 16000 else [segment("half")]

    model = recognizer(script)
    found = transcribe_passages(model, sound(20), [Passage(0, 20)], None)
    assert [part.words[0].text for part in found.segments] == [" half", " half"]
    assert sum(length for length, _ in model.decoded[-2:]) == pytest.approx(20.0)


def test_a_loop_that_nothing_breaks_is_returned_and_the_search_ends(recognizer: Any, segment: Segment) -> None:
    model = recognizer(lambda _: [segment("I'm out " * 40, step=0.2)])
    assert transcribe_passages(model, sound(30), [Passage(0, 30)], None).segments
    assert len(model.decoded) < 20


def test_progress_rises_to_one(recognizer: Any, segment: Segment) -> None:
    fractions: list[float] = []
    model = recognizer(lambda _: [segment("a b c"), segment("d e f", start=5.0)])
    transcribe_passages(model, sound(40), [Passage(0, 10), Passage(20, 30)], None, lambda fraction, message="": fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_passages_at_the_same_time_come_out_in_their_order(recognizer: Any, segment: Segment) -> None:
    both = threading.Barrier(2, timeout=30)

    def script(samples: np.ndarray) -> list[RecognizedSegment]:
        both.wait()  # passes only while two are decoded
        return [segment(f"of {len(samples) // 16000}")]

    found = transcribe_passages(
        recognizer(script, at_once=2), sound(80), [Passage(0, 5), Passage(10, 40), Passage(50, 58), Passage(60, 80)], None
    )
    assert [part.words[-1].text for part in found.segments] == [" 5", " 30", " 8", " 20"]
    assert [part.words[0].start for part in found.segments] == [0.0, 10.0, 50.0, 60.0]


def test_what_a_passage_raises_ends_the_others(recognizer: Any, segment: Segment) -> None:
    def script(samples: np.ndarray) -> Iterator[RecognizedSegment]:
        if len(samples) > 20 * 16000:
            raise MemoryError("passage")
        yield segment("a b c")

    model = recognizer(script, at_once=2)
    with pytest.raises(MemoryError, match="passage"):
        transcribe_passages(model, sound(300), [Passage(0, 30), *(Passage(start, start + 2) for start in range(40, 290, 3))], None)
    assert len(model.decoded) < 84
