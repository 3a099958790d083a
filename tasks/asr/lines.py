"""Grouping words into the lines of a lyric sheet.

Whisper ends a phrase with a timestamp where a line ends, mostly; a pause, the end of a sentence, and a comma followed by a breath say so
too. Lines that are still too long to read at a glance are cut at their longest pause.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.results import LyricLine, Word
from tasks.asr.recognizer import RecognizedWord

#: A pause this long ends a line; after a comma or at the end of a phrase, a shorter one does.
PAUSE_SEC, BREATH_SEC = 0.6, 0.1
#: A line of fewer words does not end at a comma or with a phrase, unless there is a pause.
MIN_WORDS = 3
#: What is longer is cut.
MAX_WORDS, MAX_LINE_SEC, MAX_CHARACTERS = 14, 12.0, 52

_SENTENCE_END = (".", "!", "?", "。", "！", "？", "…")
_CLAUSE_END = (",", ";", ":", "，", "、", "–", "—", "-")


def lines_of(phrases: Sequence[Sequence[RecognizedWord]]) -> tuple[LyricLine, ...]:
    """Lines from words in the phrases they were heard in. Words are sorted and disjoint; so are the lines."""
    groups: list[list[RecognizedWord]] = []
    for phrase in phrases:
        for index, word in enumerate(phrase):
            if groups and not _ends_line(groups[-1], word, new_phrase=index == 0):
                groups[-1].append(word)
            else:
                groups.append([word])
    return tuple(_line(part) for group in groups for part in _cut_long(group))


def _ends_line(line: Sequence[RecognizedWord], after: RecognizedWord, new_phrase: bool) -> bool:
    pause = after.start - line[-1].end
    text = line[-1].text.rstrip("\"'”’)")
    if pause >= PAUSE_SEC or text.endswith(_SENTENCE_END):
        return True
    if len(line) < MIN_WORDS:
        return False
    return new_phrase or (pause >= BREATH_SEC and (text.endswith(_CLAUSE_END) or _opens_sentence(after.text)))


def _opens_sentence(text: str) -> bool:
    """Whether a word is written large; in English, "I" always is."""
    letters = text.strip().lstrip("\"'“‘¿¡(")
    return letters[:1].isupper() and letters.split("'")[0].split("’")[0] != "I"


def _cut_long(words: list[RecognizedWord]) -> list[list[RecognizedWord]]:
    """The words in parts that fit, cut after commas and at long pauses first."""
    fits = len(words) <= MAX_WORDS and words[-1].end - words[0].start <= MAX_LINE_SEC and len(_joined(words)) <= MAX_CHARACTERS
    if fits or len(words) < 2 * MIN_WORDS:
        return [words]
    middle = len(words) / 2

    def worth(index: int) -> tuple[bool, float, float]:
        pause = words[index].start - words[index - 1].end
        return words[index - 1].text.endswith(_CLAUSE_END), round(pause, 2), -abs(index - middle)

    cut = max(range(MIN_WORDS, len(words) - MIN_WORDS + 1), key=worth)
    return _cut_long(words[:cut]) + _cut_long(words[cut:])


def _line(words: Sequence[RecognizedWord]) -> LyricLine:
    sung = tuple(
        Word(start=round(word.start, 3), end=round(word.end, 3), text=word.text.strip(), confidence=_confidence(word.probability))
        for word in words
    )
    mean = sum(word.confidence for word in sung) / len(sung)
    return LyricLine(start=sung[0].start, end=sung[-1].end, text=_joined(words), confidence=_confidence(mean), words=sung)


def _joined(words: Sequence[RecognizedWord]) -> str:
    """The text as transcribed: languages that write no spaces get none."""
    return "".join(word.text for word in words).strip()


def _confidence(probability: float) -> float:
    return round(min(max(probability, 0.0), 1.0), 4)
