"""What is dropped from what was heard, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.results import TimeSpan
from tasks.asr.guards import is_caption, trusted_phrases
from tasks.asr.recognizer import RecognizedSegment, RecognizedWord
from tasks.asr.voice_activity import HOP_SEC

WHOLE_SONG = [TimeSpan(start=0.0, end=100.0)]


def texts(phrases: Sequence[Sequence[RecognizedWord]]) -> list[str]:
    return ["".join(word.text for word in phrase).strip() for phrase in phrases]


def test_guards_agree_with_the_golden_cases(golden: Callable[[str], Any]) -> None:
    for case in golden("guards"):
        segments = [
            RecognizedSegment(
                entry["window"],
                tuple(RecognizedWord(start, end, text, 0.8) for start, end, text in entry["words"]),
                entry["no_speech_prob"],
                entry["avg_logprob"],
            )
            for entry in case["segments"]
        ]
        voice = [TimeSpan(start=start, end=end) for start, end in case["voice_activity"]]
        found = trusted_phrases(segments, voice, case["duration_sec"])
        rounded = [[[round(word.start, 3), round(word.end, 3), word.text.strip()] for word in phrase] for phrase in found]
        assert rounded == case["expected"], case["says"]


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        " Thank you so much for watching.",
        "This is the end of the video, thank you so much for watching, bye",
        "Please subscribe to my channel",
        "Subtitles by the Amara.org community",
        "Sous-titrage ST' 501",
        "Untertitel der Amara.org-Community",
        "[Music]",
        "(upbeat music)",
        "♪ ♪",
        "Music playing",
        "www.example.com",
    ],
)
def test_captions_are_known(text: str) -> None:
    assert is_caption(text)


@pytest.mark.parametrize(
    "text",
    [
        "Thank you",
        "Thank you for the music",
        "I'm watching you",
        "Let the music play",
        "See you next summer",
        "Copyright",
        "Legend of the sea",
    ],
)
def test_lyrics_that_only_sound_like_captions_stay(text: str) -> None:
    assert not is_caption(text)


def test_a_loop_is_cut_down(segment: Callable[..., RecognizedSegment]) -> None:
    stuck = segment("and then " + "I'm out " * 60, step=0.4)
    (phrase,) = trusted_phrases([stuck], WHOLE_SONG, 100.0)
    assert "".join(word.text for word in phrase).strip() == "and then " + " ".join(["I'm out"] * 4)


def test_a_loop_over_many_phrases_is_cut_down(segment: Callable[..., RecognizedSegment]) -> None:
    stuck = [segment("never gonna shoot you", start=3.0 * index) for index in range(20)]
    assert len(trusted_phrases(stuck, WHOLE_SONG, 100.0)) == 4


def test_a_chorus_that_repeats_itself_stays_whole(segment: Callable[..., RecognizedSegment]) -> None:
    chorus = segment("na na na na hey Jude take a sad song and make it better na na na na hey Jude")
    (phrase,) = trusted_phrases([chorus], WHOLE_SONG, 100.0)
    assert len(phrase) == 20


def test_a_word_that_the_model_does_not_believe_in_is_left_out(segment: Callable[..., RecognizedSegment]) -> None:
    sure, unsure = segment("we sail away"), segment("much", start=3.0, probability=0.0035)
    assert texts(trusted_phrases([sure, unsure], WHOLE_SONG, 100.0)) == ["we sail away"]


def test_an_unlikely_word_in_a_sure_phrase_stays(segment: Callable[..., RecognizedSegment]) -> None:
    first, rest = segment("millions", probability=0.001), segment("of lights in the sky", start=0.5)
    phrase = RecognizedSegment(0.0, first.words + rest.words, 0.1, -0.3)
    assert texts(trusted_phrases([phrase], WHOLE_SONG, 100.0)) == ["millions of lights in the sky"]


def test_a_word_of_eleven_seconds_is_no_word(segment: Callable[..., RecognizedSegment]) -> None:
    sure, endless = segment("we sail away"), segment("You", start=3.0, step=11.0)
    assert texts(trusted_phrases([sure, endless], WHOLE_SONG, 100.0)) == ["we sail away"]
    held = segment("You", start=3.0, step=5.0)
    assert texts(trusted_phrases([sure, held], WHOLE_SONG, 100.0)) == ["we sail away", "You"]


def test_where_no_speech_sounds_only_sure_phrases_stay(segment: Callable[..., RecognizedSegment]) -> None:
    sung, solo = segment("we sail away"), segment("over the hills", start=10.0, probability=0.7)
    shouted = segment("no no no", start=20.0, probability=0.95)
    speech = np.zeros(round(30 / HOP_SEC), np.float32)
    assert texts(trusted_phrases([sung, solo, shouted], WHOLE_SONG, 100.0)) == ["we sail away", "over the hills", "no no no"]
    assert texts(trusted_phrases([sung, solo, shouted], WHOLE_SONG, 100.0, speech)) == ["we sail away", "no no no"]
    speech[: round(12 / HOP_SEC)] = 0.9
    assert texts(trusted_phrases([sung, solo, shouted], WHOLE_SONG, 100.0, speech)) == ["we sail away", "over the hills", "no no no"]


def test_a_sure_guess_among_unsure_ones_is_a_guess(segment: Callable[..., RecognizedSegment]) -> None:
    sure = enumerate((0.6, 0.7, 0.88, 0.91))
    solo = [segment("shh", start=4.0 * index, probability=probability, no_speech_prob=0.8) for index, probability in sure]
    sung, silence = segment("we sail away", start=30.0), np.zeros(round(40 / HOP_SEC), np.float32)
    assert trusted_phrases(solo, WHOLE_SONG, 100.0, silence) == ()
    assert texts(trusted_phrases(solo[2:], WHOLE_SONG, 100.0, silence)) == ["shh", "shh"]
    spoken = silence.copy()
    spoken[round(29 / HOP_SEC) :] = 0.9
    assert texts(trusted_phrases([*solo, sung], WHOLE_SONG, 100.0, spoken)) == ["we sail away"]


def test_shouting_stays_where_the_model_hears_somebody(segment: Callable[..., RecognizedSegment]) -> None:
    unsure = segment("big out of kiddo", start=20.0, probability=0.4, no_speech_prob=0.2)
    silence = np.zeros(round(40 / HOP_SEC), np.float32)
    shouted = {doubt: segment("no no no", probability=0.9, no_speech_prob=doubt) for doubt in (0.2, 0.6)}
    assert texts(trusted_phrases([shouted[0.2], unsure], WHOLE_SONG, 100.0, silence)) == ["no no no"]
    assert trusted_phrases([shouted[0.6], unsure], WHOLE_SONG, 100.0, silence) == ()


def test_a_shouted_loop_counts_whole(segment: Callable[..., RecognizedSegment]) -> None:
    first, rest = segment("no", probability=0.3), segment("no " * 40, start=0.5, probability=0.95)
    loop = RecognizedSegment(0.0, first.words + rest.words, 0.2, -0.2)
    silence = np.zeros(round(40 / HOP_SEC), np.float32)
    assert texts(trusted_phrases([loop], WHOLE_SONG, 100.0, silence)) == ["no no no no"]


def test_what_is_left_of_a_guess_is_one(segment: Callable[..., RecognizedSegment]) -> None:
    unlikely, sure = segment("thank", probability=0.03), segment("you", start=0.5, probability=0.95)
    guess = RecognizedSegment(0.0, unlikely.words + sure.words, 0.1, -0.3)
    silence = np.zeros(round(30 / HOP_SEC), np.float32)
    assert texts(trusted_phrases([sure], WHOLE_SONG, 100.0, silence)) == ["you"]
    assert trusted_phrases([guess], WHOLE_SONG, 100.0, silence) == ()


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(-1, 20), st.sampled_from([" a", " b,", "...", " I'm", " 7"])), max_size=40),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 10)), max_size=5),
)
def test_whatever_is_heard_words_rise_do_not_overlap_and_stay_inside_the_song(
    heard: list[tuple[float, float, str]], steps: list[tuple[float, float]]
) -> None:
    voice, now = [], 0.0
    for pause, length in steps:
        voice.append(TimeSpan(start=now + pause + 0.01, end=now + pause + length + 0.01))
        now += pause + length + 0.01
    words = tuple(RecognizedWord(start, max(0.0, start + length), text, 0.5) for start, length, text in heard)
    found = [word for phrase in trusted_phrases([RecognizedSegment(0.0, words, 0.0, 0.0)], voice, 50.0) for word in phrase]
    assert all(0 <= word.start < word.end <= 50.0 for word in found)
    assert all(after.start >= before.end for before, after in pairwise(found))
