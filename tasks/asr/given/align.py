"""Given lyrics in the place of heard ones: read, placed, and put into lines; or refused, where they are of another song."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from schemas.results import GivenHeader, GivenLyrics, LyricLine, TimeSpan, UnplacedWord, Word
from tasks.asr.accompaniment import Sound
from tasks.asr.given.confidence import confidence_of
from tasks.asr.given.placing import Placed, Placement, holding, matched, place
from tasks.asr.given.text import GivenText, plain_word, read_text, section_function
from tasks.asr.recognizer import Aligner

#: Below this share of what was heard, by letters, the text is of another song. Of fourteen songs, base finds 0.63 and more in their own
#: words, and 0.16 and less in those of the others.
LEAST_AGREEMENT: Final = 0.35


def agreement(text: GivenText, heard: Sequence[Word]) -> float:
    """Share of what was heard, by letters, that is in the text, in its order: from 0 to 1."""
    pairs = holding(matched(text, heard), [plain_word(word.text) for word in text.words], heard)
    letters = [len(plain_word(word.text)) for word in heard]
    return sum(letters[pair.heard] for pair in pairs) / max(1, sum(letters))


def align_given(
    text: str,
    heard: Sequence[Word],
    voice: Sequence[TimeSpan],
    sound: Sound,
    aligner: Aligner,
    language: str,
    duration_sec: float,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[tuple[LyricLine, ...], GivenLyrics]:
    """Lines with the given words where they are sung, and what became of the words. No lines where the text is of another song.

    heard: the words that were transcribed. voice: where somebody sings. Lines that are sung again are there again; their text is as given.
    """
    given = read_text(text)
    agrees = round(agreement(given, heard), 4)
    if not given.words or not heard or agrees < LEAST_AGREEMENT:
        return (), GivenLyrics(fits=False, words=len(given.words), agreement=agrees)
    placement = place(given, heard, voice, sound, aligner, language, duration_sec, progress)
    return _lines(given, placement), GivenLyrics(
        fits=True,
        words=len(given.words),
        agreement=agrees,
        unplaced=tuple(_unplaced(given, placement)),
        headers=_headers(given, placement),
        times_used=placement.shift is not None if given.timed else None,
    )


def _lines(given: GivenText, placement: Placement) -> tuple[LyricLine, ...]:
    lines = []
    for _, group in groupby(placement.words, key=lambda word: word.performance):
        placed = list(group)
        words = tuple(_word(given, word) for word in placed)
        mean = round(sum(word.confidence for word in words) / len(words), 4)
        lines.append(
            LyricLine(start=words[0].start, end=words[-1].end, text=given.lines[placed[0].line].text, confidence=mean, words=words)
        )
    return tuple(lines)


def _word(given: GivenText, placed: Placed) -> Word:
    return Word(
        start=round(placed.start, 3), end=round(placed.end, 3), text=given.words[placed.given].text, confidence=confidence_of(placed)
    )


def _unplaced(given: GivenText, placement: Placement) -> list[UnplacedWord]:
    lines = [number for number, line in enumerate(given.lines, start=1) for _ in line.words]
    return [UnplacedWord(line=lines[index], text=given.words[index].text) for index in placement.left_out]


def _headers(given: GivenText, placement: Placement) -> tuple[GivenHeader, ...]:
    found: list[GivenHeader] = []
    before: int | None = None
    for word in placement.words:
        section = given.lines[word.line].section
        if section is not None and section != before:
            text = given.sections[section]
            found.append(GivenHeader(start=round(word.start, 3), text=text, label=section_function(text)))
        before = section
    return tuple(found)
