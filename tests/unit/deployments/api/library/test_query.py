"""What may be asked, in which words, and where a next page goes on."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from deployments.api.library.query import Place, key_code, song_query
from tasks.common.errors import OptionInvalid


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (("C", "c", "C major", "C:maj", "Cmaj", "CM", "B#"), "0M"),
        (("Am", "A minor", "a:min", "A-minor", " Amin "), "9m"),
        (("C#", "Db", "D♭ major", "C♯"), "1M"),
        (("Bb", "A#", "bb"), "10M"),
        (("Cb", "B"), "11M"),
    ],
)
def test_every_name_of_a_key_is_the_same_key(keys: tuple[str, ...], code: str) -> None:
    assert {key_code(key) for key in keys} == {code}


@pytest.mark.parametrize("key", ["", "H", "Am7", "C##", "A min or", "' OR 1=1", "Ａ"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(OptionInvalid):
        key_code(key)


def test_a_text_is_looked_for_by_relevance_and_nothing_by_age() -> None:
    assert (song_query("love").order, song_query("love").descending) == ("relevance", False)
    assert (song_query("").order, song_query("").descending) == ("created", True)
    assert (song_query("♥", sort="relevance").order, song_query(sort="-bpm").descending) == ("created", True)


def test_an_order_that_there_is_not_is_refused() -> None:
    with pytest.raises(OptionInvalid, match="sorted by 'rating'"):
        song_query(sort="-rating")


def test_a_cursor_goes_on_with_its_own_query_only() -> None:
    query = song_query("love", bpm_min=100)
    cursor = query.cursor(Place(-1.25, "ab"))
    assert song_query("LOVE", bpm_min=100, cursor=cursor) == replace(query, text="LOVE", after=Place(-1.25, "ab"))
    with pytest.raises(OptionInvalid, match="another query"):
        song_query("hate", bpm_min=100, cursor=cursor)


@pytest.mark.parametrize(
    "content", ["", "x", "[]", '["a", "b", "c"]', "[" * 5000, '{"a": 1}', "null", "é"], ids=lambda content: content[:8]
)
def test_what_is_no_cursor_is_refused(content: str) -> None:
    for cursor in (content, base64.urlsafe_b64encode(content.encode()).decode()):
        with pytest.raises(OptionInvalid):
            song_query(cursor=cursor)


def test_a_cursor_with_another_kind_of_value_is_refused() -> None:
    query = song_query(sort="title")
    for value in (1, None, [], {"a": 1}):
        content = json.dumps([[None, None, None, None, "title", False], value, "ab"])
        with pytest.raises(OptionInvalid):
            query.place_of(base64.urlsafe_b64encode(content.encode()).decode())
