"""A word has as many nuclei as it has syllables, each on a vowel that is heard."""

from __future__ import annotations

import pytest

from tasks.common.syllables.nuclei import is_sung, is_vowel, nuclei, writes_vowels


@pytest.mark.parametrize(
    ("language", "count", "words"),
    [
        ("en", 1, "loved there's house you've eyes strength time dreams queen yes the scratched called miles belle"),
        ("en", 2, "being wanted chances table didn't trying hourly lovely something every troubles trouble troubled"),
        ("en", 3, "radio beautiful piano another everything situate"),
        ("de", 2, "bauen feuer liebe schauen"),
        ("fr", 1, "rose chante vie"),
        ("es", 2, "tía cielo"),
        ("cs", 1, "vlk prst krk"),
        ("cs", 2, "vítr voda"),
        ("ru", 3, "моего молоко"),
        (None, 3, "banana"),
    ],
)
def test_counts(language: str | None, count: int, words: str) -> None:
    assert {word: len(nuclei(word, language)) for word in words.split()} == dict.fromkeys(words.split(), count)


def test_nuclei_are_the_places_of_the_vowels() -> None:
    assert [("shining"[span.start : span.end]) for span in nuclei("shining", "en")] == ["i", "i"]
    assert [("house"[span.start : span.end]) for span in nuclei("house", "en")] == ["ou"]


def test_a_word_of_silent_letters_alone_still_has_one() -> None:
    assert len(nuclei("the", "en")) == 1
    assert nuclei("hmm", "en") == []


def test_vowels_are_letters_with_any_marks_and_of_any_script_that_writes_them() -> None:
    assert all(map(is_vowel, "aéøüыაիω"))
    assert not any(map(is_vowel, "bßйўب"))
    assert writes_vowels("река")
    assert not writes_vowels("حبيبي")


def test_y_and_u_are_consonants_before_a_vowel() -> None:
    assert not is_sung("yes", 0, "en")
    assert not is_sung("queen", 1, "en")
    assert is_sung("sky", 2, "en")
