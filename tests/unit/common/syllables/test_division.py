"""Words are divided where they are sung, in the language and script they are in, and nothing of them is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_songs import SONGS, song_of

from tasks.common.syllables.division import syllables_of
from tasks.export.lines import words_of


@pytest.mark.parametrize(
    ("language", "divided"),
    [
        ("en", "shi-ning ri-ver car-ry me o-ver the sea"),
        ("en", "yes-ter-day all my trou-bles seemed so far a-way"),
        ("en", "some-thing love-ly ev-ery-where there's heav-en"),
        ("en", "wan-na be o-ver you did-n't lis-ten"),
        ("de", "Freu-de schö-ner Göt-ter-fun-ken"),
        ("fr", "la vie en rose quand il me prend dans ses bras"),
        ("es", "cie-lo lin-do can-ción"),
        ("it", "vo-la-re can-ta-re"),
        ("ru", "ка-ли-нка мо-я"),
        ("cs", "vlk prst"),
        ("pl", "dzi-siaj"),
        ("el", "θά-λασ-σα"),
    ],
)
def test_each_language_is_divided_as_it_is_sung(language: str, divided: str) -> None:
    """Where the division of a consonant is a matter of taste, the number of syllables is what counts."""
    for word in divided.split():
        assert len(syllables_of(word.replace("-", ""), language)) == word.count("-") + 1, word


@pytest.mark.parametrize(
    ("language", "word", "parts"),
    [
        ("en", "Shining,", ("Shin", "ing,")),
        ("en", "“again!”", ("“a", "gain!”")),
        ("en", "hey-hey", ("hey-", "hey")),
        ("en", "24/7", ("24/7",)),
        ("en", "don't", ("don't",)),
        ("ja", "さくら", ("さ", "く", "ら")),
        ("ja", "きょう", ("きょ", "う")),
        ("ja", "空は", ("空", "は")),
        ("ja", "Baby", ("Ba", "by")),
        ("ko", "사랑", ("사", "랑")),
        ("zh", "月亮", ("月", "亮")),
        ("ar", "حبيبي", ("حبيبي",)),
        ("he", "שלום", ("שלום",)),
        ("hi", "हिन्दी", ("हिन्दी",)),
        ("fr", "Cafe\u0301", ("Ca", "fe\u0301")),
        (None, "banana", ("ba", "na", "na")),
        ("en", "", ()),
        ("en", "…", ("…",)),
        ("xx", "banana", ("ba", "na", "na")),
    ],
)
def test_parts(language: str | None, word: str, parts: tuple[str, ...]) -> None:
    assert syllables_of(word, language) == parts


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=24), st.sampled_from(["en", "de", "fr", "cs", "ja", "ar", "th", "el", "xx", None]))
def test_the_parts_of_any_text_are_the_text(word: str, language: str | None) -> None:
    parts = syllables_of(word, language)
    assert "".join(parts) == word
    assert all(parts)


def test_no_mark_is_torn_from_its_letter() -> None:
    for part in syllables_of("e\u0301e\u0301 nai\u0308ve", "fr"):
        assert not part.startswith(("\u0301", "\u0308"))


@pytest.mark.parametrize("name", SONGS)
def test_words_of_odd_songs_stay_whole(name: str) -> None:
    song_map = song_of(name)
    for line in song_map.lyrics:
        for word in words_of(line):
            assert "".join(syllables_of(word.text, song_map.voice.language)) == word.text
