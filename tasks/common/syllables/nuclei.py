"""The nuclei of a word: the vowels its syllables are sung on, by rules of spelling.

A nucleus is a half-open span of places in the word. Words are in lower case here. English, whose spelling says least, has rules of its own:
on 2139 words of nine songs' lyrics they count as the CMU Pronouncing Dictionary does in 99 of 100, and in 92 of 100 of its own entries,
half of which are names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple


class Span(NamedTuple):
    start: int
    end: int


_LATIN_AND_GREEK: Final = frozenset("aeiouyæøœıəɛɔαεηιουω")
#: Of these, each is a nucleus of its own, also beside another: Cyrillic, Georgian, Armenian.
_ALWAYS_APART: Final = frozenset("аеёиоуыэюяіїєѣაეიოუաեէըիօ")
_VOWELS: Final = _LATIN_AND_GREEK | _ALWAYS_APART
#: Letters that only look like a vowel with a mark.
_CONSONANTS: Final = frozenset("йў")

#: Places between two vowels that belong to two syllables, by language.
_HIATUS: Final[Mapping[str, re.Pattern[str]]] = {
    "en": re.compile(
        r"(?<=[aeouy])(?=ing)|(?<=[^tscgx]i)(?=[aou])|(?<=i)(?=ety?$|er$|est$|en[ct])|(?<=u)(?=al|ou|at[ei]|ity|el$)|(?<=ide)(?=a)"
    ),
    "de": re.compile(r"(?<=[aeä][uiy])(?=e)|(?<=ie)(?=e)"),
    **dict.fromkeys(("es", "pt", "gl", "ca"), re.compile(r"(?<=[íú])(?=[aeoáéó])|(?<=[aeo])(?=[íú])")),
}
#: An e that is not heard, by language. English: at the end, before -d and -s, and where a word ends within another (something, lovely).
#: French: at the end, where singing may sound it and the melody then has a note more.
_SILENT: Final[Mapping[str, re.Pattern[str]]] = {
    "en": re.compile(
        r"(?<=[^aeiouyl])e$|(?<=[aeiouywrl]l)e(?=[ds]?$)|(?<=[aeiouy])e$|(?<=[^tdl])e(?=d$)|(?<=[^cszgxhl])e(?=s$)|(?<=[^cs]h)e(?=s$)"
        r"|(?<=[^aeiou])e(?=ly$|less|ful|ness|ment)|(?<=som)e(?=[a-z])|(?<=ev)e(?=ry|ning)|(?<=^her)e(?=[a-z])|(?<=^mor)e(?=o)"
        r"|(?<=^tim)e(?=[a-z])|(?<=^lif)e(?=[a-z])|(?<=^hom)e(?=[a-z])|(?<=^lov)e(?=[a-z])|(?<=^sid)e(?=[a-z])"
    ),
    "fr": re.compile(r"e(?=s?$)"),
}
#: What an English word may end with and still end as before: there's, you've.
_ENDING: Final = re.compile(r"['’](?:s|d|ll|ve|re|m|t)?$")
#: Languages in which r and l between consonants are sung on: prst, vlk.
_R_AND_L_ARE_SUNG: Final = frozenset(("cs", "sk", "hr", "sr", "sl", "bs", "mk"))


def writes_vowels(word: str) -> bool:
    """Whether a word has letters that are vowels here; others are of a script that leaves them out, or whose signs they are."""
    return any(map(is_vowel, word))


def is_vowel(letter: str) -> bool:
    """Whether a letter is a vowel, with whatever marks it has."""
    return letter in _VOWELS or (letter not in _CONSONANTS and unicodedata.normalize("NFD", letter)[0] in _VOWELS)


def nuclei(word: str, language: str | None) -> list[Span]:
    """The nuclei of a word in order: its groups of vowels, divided where the language does, without those that are not heard.

    language: ISO 639 code; None and languages without rules have the groups.
    """
    silent = _silent(word, language)
    found = _groups(word, language, silent) or _groups(word, language, frozenset())[:1]
    contracted = re.search(r"(?<=[ds])n['’]t$", word) if language == "en" else None  # didn't, wasn't
    return [*found, Span(contracted.start(), contracted.start() + 1)] if contracted else found


def _groups(word: str, language: str | None, silent: Collection[int]) -> list[Span]:
    apart = {place.start() for place in _HIATUS[language].finditer(word)} if language is not None and language in _HIATUS else set()
    found: list[Span] = []
    for place, letter in enumerate(word):
        if place in silent or not is_sung(word, place, language):
            continue
        if found and found[-1].end == place and letter not in _ALWAYS_APART and place not in apart:
            found[-1] = Span(found[-1].start, place + 1)
        else:
            found.append(Span(place, place + 1))
    return found


def _silent(word: str, language: str | None) -> frozenset[int]:
    """The places of vowels that are not heard."""
    if language is None or language not in _SILENT:
        return frozenset()
    ending = _ENDING.search(word) if language == "en" else None
    stem = word[: ending.start()] if ending else word
    return frozenset([*(place.start() for place in _SILENT[language].finditer(stem)), *range(len(stem), len(word))])


def is_sung(word: str, place: int, language: str | None) -> bool:
    """Whether the letter at a place is sung on, as a vowel or, where the language does so, as r or l."""
    before, letter, after = word[place - 1 : place], word[place], word[place + 1 : place + 2]
    if letter in "rlрл" and language in _R_AND_L_ARE_SUNG:
        return _is_consonant(before) and not (after and is_vowel(after))
    if letter == "y" and after and is_vowel(after):
        return before != "" and not is_vowel(before)  # yes, mayor; but dying
    return is_vowel(letter) and not (letter == "u" and before == "q")


def _is_consonant(letter: str) -> bool:
    return letter.isalpha() and not is_vowel(letter)
