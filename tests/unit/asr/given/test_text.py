"""What people paste, read into sections, lines and words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.asr.given.text import MOST_WORDS, plain_word, read_text, section_function


def lines(text: str) -> list[str]:
    return [line.text for line in read_text(text).lines]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ("\ufeffOne line\r\n\r\nAnother\r\n", ["One line", "Another"]),
        ("Am    F/C  G7\nHello my dar[G]ling\n", ["Hello my darling"]),
        ("Sing it (x2)\nNow 3x\n", ["Sing it", "Sing it", "Now", "Now", "Now"]),
        ("[Chorus]\nla la\n\n[Verse]\nno no\n\n[Chorus]\n", ["la la", "no no", "la la"]),
        ("Chorus:\nla la\n\nVerse 1\nno no\n\n[Chorus]\n(x2)\n", ["la la", "no no", "la la", "la la"]),
        ("{title: T}\n{soc}\n[Am]Hal[C]lo\n{eoc}\n# a comment\n{chorus}\n", ["Hallo", "Hallo"]),
        ("[ar:A]\n[00:01.00][00:09.00]Again\n[00:05.00]Between\n", ["Again", "Between", "Again"]),
        ("1\n00:00:01,000 --> 00:00:02,000\nHi there\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n", ["Hi there", "Bye"]),
        ("#TITLE:T\n#BPM:300\n#GAP:1000\n: 0 2 5 Hel\n: 4 2 5 lo\n: 8 2 5  you\n- 12\n: 16 2 5 Bye\nE\n", ["Hello you", "Bye"]),
    ],
)
def test_lines_are_what_is_sung(given: str, expected: list[str]) -> None:
    assert lines(given) == expected


def test_times_are_seconds_after_the_offset() -> None:
    read = read_text("[offset:500]\n[01:02.50]<01:02.50>Word <01:03.00>two\n")
    assert read.lines[0].time == 62.0
    assert [word.time for word in read.words] == [62.0, 62.5]
    assert read.timed


def test_headers_are_kept_with_their_lines_and_are_no_words() -> None:
    read = read_text("[Verse 1]\na b\n[Guitar Solo]\n[Chorus]\nc\n")
    assert read.sections == ("Verse 1", "Chorus")
    assert [line.section for line in read.lines] == [0, 1]


def test_adlibs_are_marked_and_signs_are_no_words() -> None:
    read = read_text("Go on – (oh yeah) home")
    assert [(word.text, word.aside) for word in read.words] == [
        ("Go", False), ("on", False), ("(oh", True), ("yeah)", True), ("home", False)
    ]  # fmt: skip
    assert read.lines[0].text == "Go on – (oh yeah) home"


def test_scripts_without_spaces_are_read_by_character() -> None:
    assert [word.text for word in read_text("君が、好き").words] == ["君", "が、", "好", "き"]


def test_words_are_compared_without_accents_and_signs() -> None:
    assert (plain_word("Été,"), plain_word("don’t"), plain_word("–")) == ("ete", "dont", "")


@pytest.mark.parametrize(
    ("header", "function"),
    [("Chorus 2: All", "chorus"), ("Refrain", "chorus"), ("Final Chorus", "chorus"), ("Pont", "bridge"), ("Bob", None)],
)
def test_headers_name_functions(header: str, function: str | None) -> None:
    assert section_function(header) == function


def test_a_header_alone_stands_for_the_section_sung_once_however_often_that_was_sung() -> None:
    given = read_text("[Chorus]\nsing it\n\n[Chorus x2]\n\n[Chorus x2]\n\n[Chorus x2]\n\n[Verse]\nand then")
    assert [line.text for line in given.lines] == ["sing it"] * 7 + ["and then"]


@pytest.mark.parametrize(
    "text",
    [
        "[Chorus]\nla la\n" + "\n[Chorus x12]\n" * 2_000,
        "\n".join(f"line {number}" for number in range(500)) + "\n(x12)" * 500,
        "sing\n" + "A" + "1" * 5_000 + "!",
        "sing\n{a" + " " * 50_000 + "b",
        "sing\n[ti:" + " " * 50_000 + "b",
        "sing" + " " * 50_000 + "it",
        "A\nsing\n" * 10_000,
        "\n" * 90_000 + "#TITLE",
        "sing " * 20_000,
    ],
)
def test_no_text_takes_long_or_grows_without_bound(text: str) -> None:
    script = "import sys; from tasks.asr.given.text import read_text; print(len(read_text(sys.stdin.read()).words))"
    done = subprocess.run([sys.executable, "-c", script], input=text, text=True, capture_output=True, timeout=60, check=True)
    assert 0 <= int(done.stdout) <= max(MOST_WORDS, len(text.split()))


def test_a_song_pasted_as_one_line_keeps_every_word() -> None:
    text = " ".join(f"word{number}" for number in range(3_000))
    assert [word.text for word in read_text(text).words] == text.split()
