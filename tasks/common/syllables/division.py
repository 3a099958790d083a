"""Dividing a written word into its syllables, in the script and language it is in.

Where a syllable's vowel is, rules of spelling say (`nuclei`); where the consonants between two of them go, the language's hyphenation
dictionary does. Hyphenation alone is too coarse: it leaves one letter nowhere (over, a-gain), and English misses every fourteenth word.
The dictionaries are those of LibreOffice in Pyphen, which is used under the MPL 1.1.

| script | rule |
| --- | --- |
| Latin, Greek, Cyrillic, Georgian, Armenian | one vowel or diphthong each; without a dictionary, one consonant goes to the vowel after it |
| others that Pyphen has a dictionary for (Thai, Kannada, Marathi, Odia, Punjabi, Telugu, Assamese, Sanskrit) | the dictionary |
| Han, Hangul | every character |
| Hiragana, Katakana | every mora, but small letters, ん, っ and ー stay with the one before |
| Latin letters in the lyrics of a language that has others | as English |
| any other (Arabic, Hebrew, Hindi, …) | the word is left whole: its spelling does not say |
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, Final

import lazy_loader

from tasks.common.syllables.nuclei import is_sung, nuclei, writes_vowels

pyphen = lazy_loader.load("pyphen")

#: Dictionaries that go by another name than the language.
_DICTIONARIES: Final = {"en": "en_US", "no": "nb", "bs": "hr", "sh": "hr"}
#: Two consonants that begin a syllable together. "ck" and "ng" end one.
_ONSETS: Final = (
    "bl br ch cl cr dr fl fr gh gl gr ph pl pr qu sc sh sk sl sm sn sp st sw th tr tw wh wr zh kn gn rh ny ll lh nh ts cz sz дж"
)
#: Languages that are not written in Latin letters; words in these are taken for English.
_WRITTEN_OTHERWISE: Final = "ja ko zh yue th lo km my ar fa ur he yi hi bn ta te kn ml mr ne si ru uk be bg el ka hy am"
_APOSTROPHES: Final = "'’ʼ"
_JOINS_MORA_BEFORE: Final = frozenset("ぁぃぅぇぉゃゅょゎっんァィゥェォャュョヮヵヶッンー")


def syllables_of(word: str, language: str | None) -> tuple[str, ...]:
    """The parts of a word with its punctuation, which joined are the word; one where it is not known how to divide it.

    language: ISO 639 code of the lyrics, None where it is not known.
    """
    whole = {place for place, character in enumerate(word) if not _continues(character)}
    breaks = [place for start, end in _runs(word) for place in _breaks_of_run(word, start, end, language) if place in whole]
    return tuple(word[start:end] for start, end in pairwise([0, *breaks, len(word)])) if word else ()


def _runs(word: str) -> Iterator[tuple[int, int]]:
    """Spans of letters with their marks, and with apostrophes between letters."""
    start: int | None = None
    for place, character in enumerate(word):
        inside = character.isalpha() or (start is not None and (_continues(character) or _joins(word, place)))
        if inside and start is None:
            start = place
        elif not inside and start is not None:
            yield start, place
            start = None
    if start is not None:
        yield start, len(word)


def _joins(word: str, place: int) -> bool:
    return word[place] in _APOSTROPHES and word[place + 1 : place + 2].isalpha()


def _continues(character: str) -> bool:
    """Whether a character belongs to the letter before it: marks, and what joins letters."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _breaks_of_run(word: str, first: int, last: int, language: str | None) -> Iterator[int]:
    """Where a run of letters is divided, as places in the word; and where it starts, if letters come before it: hey-hey."""
    if any(map(str.isalpha, word[:first])):
        yield first
    for kind, start, end in _scripts(word[first:last]):
        if start:
            yield first + start
        yield from (first + start + place for place in _BREAKS[kind](word[first + start : first + end], language))


def _scripts(run: str) -> Iterator[tuple[str, int, int]]:
    """Spans of what is divided by one rule, with the rule's name."""
    kinds = [_kind(letter) for letter in run]
    for place, letter in enumerate(run):
        if place and (_continues(letter) or not letter.isalpha()):
            kinds[place] = kinds[place - 1]
    starts = [place for place in range(len(run)) if place == 0 or kinds[place] != kinds[place - 1]]
    for start, end in pairwise([*starts, len(run)]):
        yield kinds[start], start, end


@cache
def _kind(letter: str) -> str:
    name = unicodedata.name(letter, "")
    if name.startswith(("CJK ", "HANGUL SYLLABLE", "IDEOGRAPHIC")):
        return "characters"
    return "kana" if name.startswith(("HIRAGANA", "KATAKANA")) else "letters"


def _between_characters(run: str, _: str | None) -> Iterator[int]:
    yield from range(1, len(run))


def _between_morae(run: str, _: str | None) -> Iterator[int]:
    yield from (place for place in range(1, len(run)) if run[place] not in _JOINS_MORA_BEFORE)


def _between_letters(run: str, language: str | None) -> Iterator[int]:
    letters, places = _whole_letters(run)
    if not writes_vowels(letters):
        yield from _dictionary_breaks(run, language)
        return
    if language in _WRITTEN_OTHERWISE.split() and letters.isascii():
        language = "en"  # what pop songs borrow
    known = _dictionary_breaks(letters, language)
    sung = nuclei(letters, language)
    for before, after in pairwise(sung):
        yield from (places[place] for place in known if before.start < place < before.end)
        yield places[
            next((place for place in known if before.end <= place <= after.start), _onset(letters, before.end, after.start, language))
        ]
    if sung:
        yield from (places[place] for place in known if sung[-1].start < place < sung[-1].end)


def _whole_letters(run: str) -> tuple[str, list[int]]:
    """The letters in lower case, one character each, and where each begins in the run."""
    places = [place for place, character in enumerate(run) if place == 0 or not _continues(character)]
    return "".join(_one_letter(run[start:end]) for start, end in pairwise([*places, len(run)])), places


def _one_letter(cluster: str) -> str:
    composed = unicodedata.normalize("NFC", cluster)[0]
    lower = composed.lower()
    return lower if len(lower) == 1 else composed


_BREAKS: Final[Mapping[str, Callable[[str, str | None], Iterator[int]]]] = {
    "characters": _between_characters,
    "kana": _between_morae,
    "letters": _between_letters,
}


def _dictionary_breaks(letters: str, language: str | None) -> list[int]:
    """Where the language's dictionary hyphenates; nowhere without one."""
    hyphenation = _hyphenation(language) if language else None
    return [int(place) for place in hyphenation.positions(letters) if letters[place] not in _APOSTROPHES] if hyphenation else []


@cache
def _hyphenation(language: str) -> Any:
    name = _DICTIONARIES.get(language, language)
    return pyphen.Pyphen(lang=name) if name in pyphen.LANGUAGES else None


def _onset(letters: str, start: int, end: int, language: str | None) -> int:
    """Where the letters between two nuclei are divided: before those that begin a syllable together, after an e that is not heard."""
    for place in range(end - 1, start - 1, -1):
        if letters[place] in _APOSTROPHES or is_sung(letters, place, language):
            return place + 1
    if end - start < 2:
        return end if letters[start:end] == "x" else start
    if letters[start:end] in ("ck", "ng"):
        return end
    return end - 2 if letters[end - 2 : end] in _ONSETS.split() else end - 1
