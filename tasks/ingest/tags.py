"""What a file says of itself, as text.

Tags are Unicode by the rules of most formats, and bytes of an encoding that nothing names by the habits of many programs: ID3v1 and RIFF
have no other, and in ID3v2 they are said to be Latin-1. Then all such tags of a file together tell the encoding, by how well the text that
each encoding makes of them looks: letters of one script within a word, sensible capitals, characters that are in use. Detectors made for
whole pages were no help: charset-normalizer 3.5.2 read 27 of 37 names and titles in nine encodings wrongly, most of them like those in
`tests/unit/ingest/test_tags.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from schemas.results import Tags

#: Most text a tag may have; some files carry whole books.
_LONGEST_TAG = 1000
#: So much of an ID3v2 tag is looked at: covers come last.
_LARGEST_ID3 = 1 << 20
#: FFmpeg's names of the formats whose tags may be bytes of any encoding.
_EIGHT_BIT: Final = frozenset({"aac", "aiff", "avi", "mp3", "wav"})

_TAG_NAMES = {
    "title": ("title",),
    "artist": ("artist", "performer", "album_artist", "author"),
    "album": ("album",),
    "date": ("date", "year", "originaldate", "tyer"),
    "genre": ("genre",),
    "track": ("track", "tracknumber"),
    "comment": ("comment", "description"),
    "licence": ("license", "licence", "copyright"),
}
#: FFmpeg's names of ID3v2's text frames.
_ID3_NAMES: Final = {
    b"TIT2": "title", b"TPE1": "artist", b"TALB": "album", b"TCON": "genre", b"TRCK": "track", b"TYER": "date", b"TDRC": "date"
}  # fmt: skip
#: C0, C1 and halves of characters; marks that turn text around or cannot be seen (Unicode Standard Annex 9), but none that joins letters.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_INVISIBLE: Final = re.compile("[\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
#: What stands between spaces and the signs of ASCII.
_WORD: Final = re.compile(r"[^\s\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+")
#: An encoding must look at least so good, and so much better than Latin-1.
_LEAST_SCORE: Final = 0.6
_LEAST_LEAD: Final = 0.1
#: Three in five Chinese characters in use have the bytes of hangul: less than so many bytes of hangul alone decide nothing.
_HANGUL_ALONE: Final = 0.9
_MUCH_HANGUL: Final = 12


def read_tags(metadata: Mapping[str, str], eight_bit: bool = False) -> Tags:
    """The tags Performia keeps, from whatever a container calls them.

    metadata: bytes that are no UTF-8 as surrogates (PEP 383). eight_bit: see `may_be_eight_bit`.
    """
    given = {name.lower(): text for name, text in metadata.items()}
    wanted = {
        tag: next((given[name] for name in names if given.get(name, "").strip("\0 \t\r\n")), None) for tag, names in _TAG_NAMES.items()
    }
    kept = {tag: text for tag, text in wanted.items() if text is not None}
    read = {tag: _printable(text) for tag, text in decoded(kept, eight_bit).items()}
    return Tags(**{tag: text for tag, text in read.items() if text})


def _printable(text: str) -> str:
    """A tag on one line, without what would steer a terminal or turn the text around."""
    text = _INVISIBLE.sub("", _twice_encoded(text))
    return " ".join(_CONTROL.sub(" ", text).split())[:_LONGEST_TAG].strip()


def _twice_encoded(text: str) -> str:
    """A text whose UTF-8 was once taken for Windows-1252 or Latin-1, as it was before; any other stays."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return text if text.isascii() else text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def may_be_eight_bit(path: Path, formats: set[str]) -> bool:
    """Whether what FFmpeg took for Latin-1 in a file's tags may be bytes of any encoding. formats: its names of the container's."""
    return bool(formats & _EIGHT_BIT) and not says_unicode(path)


def says_unicode(path: Path) -> bool:
    """Whether all texts of a file's ID3v2 tag are said to be Unicode (ID3v2.3 and 2.4, section 4: encodings 1 to 3)."""
    encodings = {content[0] for _, content in _id3_texts(path)}
    return bool(encodings) and 0 not in encodings


def unmarked_texts(path: Path) -> dict[str, str]:
    """Texts of a file's ID3v2 tag in UTF-16 without the mark of its byte order, which FFmpeg drops, by its names of the tags."""
    found = {}
    for name, content in _id3_texts(path):
        raw = content[1 : len(content) - (len(content) - 1) % 2]
        if content[0] == 1 and name in _ID3_NAMES and raw[:2] not in (b"\xff\xfe", b"\xfe\xff", b""):
            order = "be" if raw[::2].count(0) > raw[1::2].count(0) else "le"  # the high bytes of spaces and Latin letters are zero
            found[_ID3_NAMES[name]] = raw.decode(f"utf-16-{order}", "replace")
    return found


def _id3_texts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(name, content with its encoding first) of the text frames of a file's ID3v2.3 or 2.4 tag."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10 or head[3] not in (3, 4):
            return
        tag = file.read(min(_synchsafe(head[6:]), _LARGEST_ID3))
    place = 0
    while place + 11 <= len(tag) and tag[place : place + 1].isalpha():
        size = tag[place + 4 : place + 8]
        ends = place + 10 + (_synchsafe(size) if head[3] == 4 else int.from_bytes(size, "big"))
        if tag[place : place + 1] == b"T" and ends > place + 10:
            yield tag[place : place + 4], tag[place + 10 : ends]
        place = max(ends, place + 10)


def _synchsafe(raw: bytes) -> int:
    """A number of four bytes with seven bits each."""
    return raw[0] << 21 | raw[1] << 14 | raw[2] << 7 | raw[3]


def decoded(texts: Mapping[str, str], eight_bit: bool) -> dict[str, str]:
    """Texts with what is mere bytes read in the encoding that looks best. eight_bit: whether Latin-1 may be another encoding in truth."""
    raw = {name: found for name, text in texts.items() if (found := _bytes_of(text, eight_bit)) is not None}
    if not raw:
        return dict(texts)
    encoding = encoding_of(b"\n".join(raw.values()))
    return {name: raw[name].decode(encoding, "replace") if name in raw else text for name, text in texts.items()}


def encoding_of(raw: bytes) -> str:
    """The encoding of some names and titles, one a line; Windows-1252 where nothing looks better."""
    with suppress(UnicodeDecodeError):
        raw.decode("utf-8")
        return "utf-8"
    scores = {encoding: _score(raw, encoding, judge) for encoding, judge in _JUDGES.items()}
    if scores["euc_kr"] >= _HANGUL_ALONE and sum(byte >= 0x80 for byte in raw) >= _MUCH_HANGUL:
        return "euc_kr"
    best = max(scores, key=lambda encoding: scores[encoding])
    latin = _score(raw, "latin-1", _latin)
    if scores[best] >= _LEAST_SCORE and scores[best] > latin + _LEAST_LEAD:
        return best
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _bytes_of(text: str, eight_bit: bool) -> bytes | None:
    """The bytes of a text whose encoding is not known; None where it is."""
    if any("\udc80" <= character <= "\udcff" for character in text):
        return text.encode("utf-8", "surrogateescape")
    if eight_bit and not text.isascii() and all(character <= "\xff" for character in text):
        return text.encode("latin-1")
    return None


def _score(raw: bytes, encoding: str, judge: Callable[[str], float]) -> float:
    """How well the bytes look in an encoding, from 0 to 1: the mean over those that are not ASCII."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    total = count = 0.0
    for word in _WORD.findall(text):
        weight = sum(len(character.encode(encoding)) for character in word if not character.isascii())
        if weight:
            total += weight * judge(word)
            count += weight
    return total / count if count else 0.0


def _latin(word: str) -> float:
    """Accented letters stand among plain ones."""
    good = 0.0
    high = [place for place, character in enumerate(word) if not character.isascii()]
    for place in high:
        around = word[max(0, place - 1) : place] + word[place + 1 : place + 2]
        if not word[place].isalpha():
            good += 0.5 if word[place] >= "\xa0" else 0.2
        elif any(character.isascii() and character.isalpha() for character in around):
            good += 1.0
        else:
            good += 0.8 if len(high) == 1 else 0.4 if len(high) == 2 else 0.0
    return good / len(high)


def _cyrillic(word: str) -> float:
    """Russian letters alone, with capitals where they belong, and a vowel in long words."""
    letters = "".join(character for character in word if character.isalpha())
    others = sum(1 for character in word if not character.isascii() and character not in "«»–—…№" and not re.match("[А-яЁё]", character))
    parts = re.findall(r"[А-яЁё]+", word)
    if not parts or others or any(character.isascii() for character in letters):
        return 0.0
    scores = []
    for part in parts:
        cased = part.islower() or part.isupper() or (part[0].isupper() and part[1:].islower())
        vowel = len(part) < 4 or re.search("[аеёиоуыэюя]", part.lower())
        scores.append(0.3 if not cased or not vowel else 1.0 if len(part) > 1 else 0.7)
    return sum(scores) / len(scores)


def _mean(word: str, judge: Callable[[str], float]) -> float:
    scores = [judge(character) for character in word if not character.isascii()]
    return sum(scores) / len(scores)


def _lead(character: str, encoding: str) -> tuple[int, int]:
    """The bytes of a character of two, else zeros."""
    raw = character.encode(encoding, "ignore")
    return (raw[0], raw[1]) if len(raw) == 2 else (0, 0)


def _chinese(word: str) -> float:
    """GB 2312: its first level is what is in use; kana in it is Japanese in another encoding."""

    def judge(character: str) -> float:
        lead, trail = _lead(character, "gbk")
        if trail < 0xA1:
            return 0.0
        return 0.95 if 0xB0 <= lead <= 0xD7 else 0.5 if 0xD8 <= lead <= 0xF7 or lead in (0xA1, 0xA3) else 0.0

    return _mean(word, judge)


def _japanese(encoding: str) -> Callable[[str], float]:
    def judge(character: str) -> float:
        if "\u3041" <= character <= "\u30fe":
            return 1.0
        lead, _ = _lead(character, "cp932")
        if "\uff61" <= character <= "\uff9f":
            return 0.65
        return 0.9 if 0x88 <= lead <= 0x97 else 0.5 if 0x81 <= lead <= 0x9F or 0xE0 <= lead <= 0xEA else 0.0

    def word_score(word: str) -> float:
        half = sum("\uff61" <= character <= "\uff9f" for character in word)
        if half and (half < 3 or half < len(word) - 1):  # among other characters, single ones are an accident
            return 0.3
        if encoding == "euc_jp" and not re.search("[\u3041-\u30fe]", word):
            return 0.5
        return _mean(word, judge)

    return word_score


def _traditional(word: str) -> float:
    """Big5: its first level."""
    return _mean(word, lambda character: 0.9 if 0xA4 <= _lead(character, "big5")[0] <= 0xC6 else 0.3)


def _korean(word: str) -> float:
    """Hangul alone. The same bytes are Chinese characters in use."""
    hangul = [character for character in word if not character.isascii()]
    return _HANGUL_ALONE if all("\uac00" <= character <= "\ud7a3" for character in hangul) else 0.0


#: Encoding: how good a word looks. Of those that look equally good, the first is taken.
_JUDGES: Final[dict[str, Callable[[str], float]]] = {
    "cp1251": _cyrillic,
    "gb18030": _chinese,
    "cp932": _japanese("cp932"),
    "euc_jp": _japanese("euc_jp"),
    "big5": _traditional,
    "euc_kr": _korean,
}
