"""Which given word each heard word is."""

from __future__ import annotations

from tasks.asr.given.matching import likeness, match

VERSE = ["the", "morning", "finds", "me", "walking", "down", "the", "river", "road", "again"]
CHORUS = ["carry", "me", "over", "carry", "me", "home", "to", "the", "sea"]


def path(heard: list[str], given: list[list[str]]) -> list[int]:
    flat = [word for line in given for word in line]
    starts = [sum(len(line) for line in given[:n]) for n in range(len(given))]
    return [pair.given for pair in match(heard, flat, starts)]


def test_a_chorus_written_once_and_sung_three_times_is_found_three_times() -> None:
    first = len(VERSE)
    chorus = list(range(first, first + len(CHORUS)))
    assert path(VERSE + CHORUS * 3, [VERSE, CHORUS]) == [*range(first), *chorus * 3]


def test_lines_that_are_not_sung_are_skipped() -> None:
    other = ["nobody", "ever", "painted", "yellow", "elephants", "with", "borrowed", "brushes"]
    assert path(VERSE + CHORUS, [VERSE, other, CHORUS]) == [*range(9 + 1), *range(10 + len(other), 10 + len(other) + len(CHORUS))]


def test_adlibs_that_are_not_written_match_nothing() -> None:
    assert path([*VERSE, "whoa", "yippee", *CHORUS], [VERSE, CHORUS]) == list(range(len(VERSE) + len(CHORUS)))


def test_a_word_that_was_misheard_keeps_its_place() -> None:
    heard = [*VERSE]
    heard[1] = "mornin"
    assert path(heard, [VERSE]) == list(range(len(VERSE)))


def test_nothing_matches_nothing() -> None:
    assert match([], ["a"], [0]) == () == match(["a"], [], [])


def test_likeness_is_one_for_the_same_word_alone() -> None:
    alike = likeness(["home", "homes", "xyz"], ["home"])
    assert alike[0, 0] == 1.0
    assert 0.7 < alike[1, 0] < 1.0
    assert alike[2, 0] == 0.0


def test_words_are_not_passed_over_where_there_is_no_time_for_them() -> None:
    """One of the two is heard, and the words between them are not: the pause says which one."""
    given = ["morning", "again", "of", "the", "river", "again", "home"]
    heard = ["morning", "again", "home"]
    assert [pair.given for pair in match(heard, given, [0], spare_sec=[0.0, 0.0, 2.0])] == [0, 1, 6]
    assert [pair.given for pair in match(heard, given, [0], spare_sec=[0.0, 2.0, 0.0])] == [0, 5, 6]
