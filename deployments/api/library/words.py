"""The words of a text as the library compares them: without case, diacritics and punctuation, in any script. Pure.

Where a script writes no spaces between words (Chinese, Japanese, Thai, …), each character is a word, and what is looked for there is a
sequence of them: so a name of two characters is found too, which an index of trigrams does not find.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

#: Letters that Unicode does not take apart into a letter and a mark, as people type them who have no such key.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"}
    # Apostrophes: "dont" finds "don't", and "don’t" does.
    | dict.fromkeys("'’‘ʼ`´＇ʹ′")
)
#: Marks that a reader may leave out: on Latin, Greek and Cyrillic letters, Hebrew points, Arabic vowels. The marks of other scripts are
#: vowels, or tell one letter from another.
_DROPPED: Final = (
    (0x0300, 0x036F),
    (0x0591, 0x05BD),
    (0x05BF, 0x05C7),
    (0x0610, 0x061A),
    (0x0640, 0x0640),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
)
#: Scripts without spaces between words: Thai and Lao, Myanmar, Khmer, kana, Han.
_WITHOUT_SPACES: Final = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3041, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def folded(text: str) -> str:
    """A text without case and diacritics: `Für Élise’s` is `fur elises`."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold().translate(_PLAIN)
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(character for character in apart if not _among(character, _DROPPED)))


def words(text: str) -> list[str]:
    """The words of a text in order, each folded."""
    return list(_words(folded(text)))


def _words(text: str) -> Iterator[str]:
    word = ""
    alone = False  # the word is a character of a script without spaces, and takes nothing but its marks
    for character in text:
        kind = unicodedata.category(character)[0]
        if kind == "M" and word:
            word += character
        elif kind in "LN":
            single = _among(character, _WITHOUT_SPACES)
            if word and (single or alone):
                yield word
                word = ""
            word += character
            alone = single
        elif word:
            yield word
            word, alone = "", False
    if word:
        yield word


def _among(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return not character.isascii() and any(first <= ord(character) <= last for first, last in ranges)
