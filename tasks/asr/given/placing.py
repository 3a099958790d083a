"""Where each given word is sung: heard words hold it in place, and between them the speech model's attention says where.

    matched → pieces (the text as it was sung) → gaps, each aligned between the heard words around it → doubtful lines left out → times

A gap is aligned with some heard words on either side of it, within the time that these take: a word cannot slide into another repetition.
Lines for which there is no time, or whose words the model does not believe in where they would have to be, are not placed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from schemas.results import TimeSpan, Word
from tasks.asr.accompaniment import Sound
from tasks.asr.given.anchors import anchored
from tasks.asr.given.matching import Pair, match
from tasks.asr.given.text import GivenText, plain_word
from tasks.asr.recognizer import WINDOW_SEC, Aligner, RecognizedWord
from tasks.asr.timing import sharpened
from tasks.asr.voice_activity import Frames, frame_levels

#: A pair holds its word in place where the letters agree so far, and it is long or its neighbours agree.
HOLDS, ALONE_HOLDS, ALONE_LETTERS = 0.6, 0.9, 6
#: So many heard words on either side of a gap are aligned with it, if they lie within so much time of it.
CONTEXT_WORDS, CONTEXT_SEC = 4, 5.0
#: Sound before and after what is aligned.
MARGIN_SEC = 0.1
#: Windows of the encoder begin at multiples of this, so that gaps share them.
WINDOW_STEP_SEC = 10.0
#: A word takes at least so long. Lines that were not heard are looked for where there is so much of the time that they would take.
LEAST_WORD_SEC, ENOUGH_TIME = 0.06, 0.35
#: A word takes at least so many seconds a letter. Usually, where a song says nothing itself, so many:
LEAST_LETTER_SEC = 0.04
#: Seconds a letter where a song says nothing itself.
USUAL_LETTER_SEC = 0.08
#: A line of which no word was heard stays where the model's mean log probability of its words is above this.
BELIEVED = -3.0
#: Words crowd where the next begins before this share of the time that their letters take. They are spread where there is a voice for so
#: much of that time.
CROWDED, ROOM = 0.2, 1.0
#: Accompaniment under the voice that is aligned, as it is where words are heard.
GAIN = 0.3


@dataclass(frozen=True)
class Placed:
    """A given word where it is sung. performance: counts up with every line that is sung, so that repetitions differ.

    likeness: to the heard word that holds it; 0 where it was not heard. believed: the model's probability; of a heard word, the confidence
    with which it was heard. room: of a word that was not heard, the seconds between the heard words around it, for each word there.
    """

    given: int
    line: int
    performance: int
    start: float
    end: float
    likeness: float
    believed: float
    room: float = 0.0
    sharp: bool = True


@dataclass(frozen=True)
class Piece:
    """A given word that is, or may be, sung here. heard: index of the word that holds it."""

    given: int
    line: int
    performance: int
    heard: int | None = None
    likeness: float = 0.0


@dataclass(frozen=True)
class Placement:
    """words: in the order in which they are sung. left_out: indices of the given words that are nowhere in them.

    unwritten: indices of the heard words that are not in the text. share: of the heard words that are, weighted by their letters.
    shift: seconds by which the song is later than the times that the text brings; None where it brings none, or they are not this song's.
    """

    words: tuple[Placed, ...]
    left_out: tuple[int, ...]
    unwritten: tuple[int, ...]
    share: float
    shift: float | None = None


def place(
    text: GivenText,
    heard: Sequence[Word],
    voice: Sequence[TimeSpan],
    sound: Sound,
    aligner: Aligner,
    language: str,
    duration_sec: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Placement:
    """Place given lyrics in a song. heard: the words that were transcribed, in order. voice: where somebody sings."""
    pairs = matched(text, heard)
    return _Placer(text, heard, voice, sound, aligner, language, duration_sec, pairs, progress).placement()


def matched(text: GivenText, heard: Sequence[Word]) -> tuple[Pair, ...]:
    """Which given words the heard words are; see `matching`."""
    given, lines = text.words, line_of_words(text)
    starts = [index for index in range(len(given)) if index == 0 or lines[index] != lines[index - 1]]
    sections = [
        index for nth, index in enumerate(starts) if nth == 0 or text.lines[lines[index]].section != text.lines[lines[index] - 1].section
    ]
    return match(
        [plain_word(word.text) for word in heard],
        [plain_word(word.text) for word in given],
        starts,
        sections,
        [word.aside for word in given],
        spare_sec=_spare_seconds(heard),
    )


def _spare_seconds(heard: Sequence[Word]) -> list[float]:
    """The time before each heard word that the one before it does not need."""
    return (
        [0.0] + [after.start - this.start - LEAST_LETTER_SEC * (len(plain_word(this.text)) + 1) for this, after in pairwise(heard)]
        if heard
        else []
    )


def line_of_words(text: GivenText) -> list[int]:
    """The line of each given word."""
    return [number for number, line in enumerate(text.lines) for _ in line.words]


def holding(pairs: Sequence[Pair], given: Sequence[str], heard: Sequence[Word]) -> list[Pair]:
    """The pairs that hold a word in place: alike, and long, or next to another such pair in both texts."""
    kept = []
    for nth, pair in enumerate(pairs):
        if pair.likeness < HOLDS:
            continue
        beside = any(
            0 <= other < len(pairs)
            and pairs[other].likeness >= HOLDS
            and 0 < (pairs[other].given - pair.given) * (other - nth) <= 2
            and abs(pairs[other].heard - pair.heard) <= 3
            and abs(heard[pairs[other].heard].start - heard[pair.heard].start) < CONTEXT_SEC
            for other in (nth - 1, nth + 1)
        )
        if beside or (pair.likeness >= ALONE_HOLDS and len(given[pair.given]) >= ALONE_LETTERS):
            kept.append(pair)
    return kept


def as_sung(pairs: Sequence[Pair], lines: Sequence[int]) -> list[Piece]:
    """The text in the order in which it is sung: every held word, and between two of them what the text has there.

    Where the text goes back, or skips, that is the rest of the line that is left and the beginning of the line that is gone to; words
    skipped in between are pieces too, for they may be sung and not heard. pairs: those that hold, in order.
    """
    pieces: list[Piece] = []
    performance = 0

    def add(first: int, last: int, held: Pair | None = None) -> None:
        nonlocal performance
        for index in range(first, last):
            if pieces and (pieces[-1].line != lines[index] or index <= pieces[-1].given):
                performance += 1
            own = held is not None and index == last - 1
            pieces.append(
                Piece(index, lines[index], performance, held.heard if own and held else None, held.likeness if own and held else 0.0)
            )

    at = 0
    for pair in pairs:
        if pair.given >= at:
            add(at, pair.given + 1, pair)
        else:
            end = next((index for index in range(at, len(lines)) if lines[index] != lines[at - 1]), len(lines)) if at else 0
            add(at, end)
            begin = next(index for index in range(len(lines)) if lines[index] == lines[pair.given])
            add(begin, pair.given + 1, pair)
        at = pair.given + 1
    add(at, len(lines))
    return pieces


class _Placer:
    def __init__(
        self,
        text: GivenText,
        heard: Sequence[Word],
        voice: Sequence[TimeSpan],
        sound: Sound,
        aligner: Aligner,
        language: str,
        duration_sec: float,
        pairs: Sequence[Pair],
        progress: Callable[[float], None],
    ):
        self._text, self._given, self._lines = text, text.words, line_of_words(text)
        self._sound, self._aligner, self._language = sound, aligner, language
        self._duration, self._progress = duration_sec, progress
        self._pairs = pairs
        self._levels: Frames = frame_levels(sound.vocals if sound.vocals is not None else sound.mix)
        self._voiced = _cumulative_voice(voice, duration_sec)
        self._windows: dict[int, Any] = {}
        held = holding(pairs, [plain_word(word.text) for word in self._given], heard)
        anchors = anchored(text, heard, held, self._levels, duration_sec)
        self._heard, self._held, self._shift = anchors.words, anchors.pairs, anchors.shift
        self._all_heard = heard
        self._letter_sec = _letter_seconds(self._held, self._heard, self._given)

    def placement(self) -> Placement:
        pieces = as_sung(self._held, self._lines)
        found: dict[int, Placed] = {}
        at = [number for number, piece in enumerate(pieces) if piece.heard is not None]
        for number in at:
            piece = pieces[number]
            word = self._heard[piece.heard or 0]
            found[number] = Placed(piece.given, piece.line, piece.performance, word.start, word.end, piece.likeness, word.confidence)
        edges = [-1, *at, len(pieces)]
        for nth, (before, after) in enumerate(pairwise(edges)):
            if after - before > 1:
                self._fill(pieces, before, after, found)
            self._progress((nth + 1) / (len(edges) - 1))
        words = _disjoint(self._spread([found[number] for number in sorted(found)]), self._duration)
        used = {word.given for word in words}
        paired = {pair.heard: pair for pair in self._pairs}
        letters = [len(plain_word(word.text)) for word in self._all_heard]
        known = sum(letters[pair.heard] * max(0.0, pair.likeness - 0.3) / 0.7 for pair in self._pairs)
        return Placement(
            words,
            tuple(index for index in range(len(self._given)) if index not in used),
            tuple(index for index in range(len(self._all_heard)) if index not in paired),
            min(1.0, known / max(1, sum(letters))),
            self._shift,
        )

    def _spread(self, words: list[Placed]) -> list[Placed]:
        """The words, those that crowd spread over the voice between the first of them and the next word.

        Where a model does not know where words are sung, its attention runs through all of them within a few steps of 20 ms.
        """
        needs = [self._letter_sec * (len(plain_word(self._given[word.given].text)) + 1) for word in words]
        gaps = [after.start - this.start for this, after in pairwise(words)]
        crowds = [gap < CROWDED * need for gap, need in zip(gaps, needs, strict=False)]
        spread = list(words)
        at = 0
        while at < len(crowds):
            if not crowds[at]:
                at += 1
                continue
            last = at
            while last < len(crowds) and crowds[last]:
                last += 1
            end = words[last + 1].start if last + 1 < len(words) else words[last].end
            wanted = sum(needs[at : last + 1])
            if self._voice(words[at].start, end) >= ROOM * wanted:
                spread[at : last + 1] = self._evenly(words[at : last + 1], needs[at : last + 1], end)
            at = last + 1
        return spread

    def _evenly(self, words: Sequence[Placed], needs: Sequence[float], end: float) -> list[Placed]:
        """The words from the first one's start to `end`, each with as much of the voice as its letters need."""
        start = words[0].start
        times = np.arange(start, end + 0.01, 0.01)
        voiced = np.array([self._voice(start, float(time)) for time in times])
        shares = np.concatenate(([0.0], np.cumsum(needs))) / sum(needs) * voiced[-1]
        edges = [float(times[min(int(np.searchsorted(voiced, share)), len(times) - 1)]) for share in shares]
        return [replace(word, start=first, end=max(last, first + 0.04)) for word, first, last in zip(words, edges, edges[1:], strict=False)]

    # --- gaps -----------------------------------------------------------------------------------------------------------------------------

    def _fill(self, pieces: list[Piece], before: int, after: int, found: dict[int, Placed]) -> None:
        """Place what can be placed of the pieces between two held ones."""
        start = self._heard[pieces[before].heard or 0].end if before >= 0 else 0.0
        end = self._heard[pieces[after].heard or 0].start if after < len(pieces) else self._duration
        wanted = list(range(before + 1, after))
        tail = [n for n in wanted if before >= 0 and pieces[n].performance == pieces[before].performance]
        head = [n for n in wanted if after < len(pieces) and pieces[n].performance == pieces[after].performance and n not in tail]
        inner = [n for n in wanted if n not in tail and n not in head]
        if inner and self._voice(start, end) < ENOUGH_TIME * self._expected(pieces, wanted):
            inner = self._that_fit(pieces, inner, before, after, self._voice(start, end) - self._expected(pieces, tail + head))
        chosen = sorted([*tail, *inner, *head])
        while chosen:
            if end - start + 0.3 < LEAST_WORD_SEC * len(chosen):
                doubtful = inner or tail + head
            else:
                placed = self._aligned(pieces, before, after, chosen, found, start, end)
                doubtful = self._doubtful(pieces, placed, inner)
                if not doubtful:
                    found.update(placed)
                    return
            inner = [n for n in inner if n not in doubtful]
            chosen = [n for n in chosen if n not in doubtful]

    def _that_fit(self, pieces: list[Piece], inner: list[int], before: int, after: int, room: float) -> list[int]:
        """Whole lines for which there is room, those beside the held words first, from both sides in turn."""
        lines: dict[int, list[int]] = {}
        for n in inner:
            lines.setdefault(pieces[n].performance, []).append(n)
        left = list(lines)
        kept: list[int] = []
        order: list[int] = []
        while left:
            order.append(left.pop(0) if before >= 0 and (len(order) % 2 == 0 or after >= len(pieces)) else left.pop())
        for line in order:
            need = self._expected(pieces, lines[line])
            if need * 0.7 > room:
                break
            room -= need
            kept += lines[line]
        return kept

    def _doubtful(self, pieces: list[Piece], placed: Mapping[int, Placed], inner: list[int]) -> list[int]:
        """The pieces of the line, of those of which nothing was heard, that the model believes in least; none where it believes in all."""
        lines: dict[int, list[int]] = {}
        for n in inner:
            lines.setdefault(pieces[n].performance, []).append(n)
        beliefs = {line: float(np.mean([np.log(placed[n].believed + 1e-9) for n in numbers])) for line, numbers in lines.items()}
        worst = min(beliefs, key=lambda line: beliefs[line], default=None)
        return lines[worst] if worst is not None and beliefs[worst] < BELIEVED else []

    def _aligned(
        self, pieces: list[Piece], before: int, after: int, chosen: list[int], found: Mapping[int, Placed], start: float, end: float
    ) -> dict[int, Placed]:
        """The chosen pieces by the model's attention, between two times; in parts where that is more than a window."""
        if end - start > WINDOW_SEC - 2 * CONTEXT_SEC - WINDOW_STEP_SEC and len(chosen) > 1:
            begin, stop = self._voice_bounds(start, end)
            if stop - begin > WINDOW_SEC - 2 * CONTEXT_SEC - WINDOW_STEP_SEC:
                cut, time = self._halved(pieces, chosen, begin, stop)
                earlier = self._aligned(pieces, before, len(pieces), chosen[:cut], found, begin, time)
                return earlier | self._aligned(pieces, -1, after, chosen[cut:], found, time, stop)
            start, end = begin, stop
        context_before = self._context(pieces, before, -1, start)
        context_after = self._context(pieces, after, 1, end)
        numbers = [*context_before, *chosen, *context_after]
        begin = self._heard[pieces[context_before[0]].heard or 0].start if context_before else start
        stop = self._heard[pieces[context_after[-1]].heard or 0].end if context_after else end
        begin, stop = max(0.0, begin - MARGIN_SEC), min(self._duration, stop + MARGIN_SEC)
        window = int(begin // WINDOW_STEP_SEC)
        origin = window * WINDOW_STEP_SEC
        words = [self._spoken(pieces[n].given) for n in numbers]
        aligned = self._aligner.align(self._encoded(window), begin - origin, min(stop - origin, WINDOW_SEC), self._language, words)
        room = max(0.0, end - start) / len(chosen)
        placed: dict[int, Placed] = {}
        for n, word in zip(numbers, aligned, strict=True):
            if n in chosen:
                first = min(max(word.start + origin, start - MARGIN_SEC), end)
                last = min(max(word.end + origin, first + 0.04), end + MARGIN_SEC)
                sharp = sharpened([[RecognizedWord(first, max(last, first + 0.04), "", word.probability)]], self._levels)[0][0]
                piece = pieces[n]
                placed[n] = Placed(piece.given, piece.line, piece.performance, sharp.start, sharp.end, 0.0, word.probability, room)
        return placed

    def _context(self, pieces: list[Piece], held: int, step: int, edge: float) -> list[int]:
        """Held pieces without a gap between them, from one on, away from the gap."""
        found: list[int] = []
        n = held
        while 0 <= n < len(pieces) and len(found) < CONTEXT_WORDS and pieces[n].heard is not None:
            word = self._heard[pieces[n].heard or 0]
            if abs((word.start if step < 0 else word.end) - edge) > CONTEXT_SEC:
                break
            found.append(n)
            n += step
        return found[::-1] if step < 0 else found

    def _halved(self, pieces: list[Piece], chosen: list[int], start: float, end: float) -> tuple[int, float]:
        """Where to cut a long gap: between two lines near its middle, and the time that by the voice belongs there."""
        needs = np.cumsum([self._expected(pieces, [n]) for n in chosen])
        cuts = [i for i in range(1, len(chosen)) if pieces[chosen[i]].performance != pieces[chosen[i - 1]].performance] or [
            len(chosen) // 2
        ]
        cut = min(cuts, key=lambda i: abs(needs[i - 1] - needs[-1] / 2))
        share = needs[cut - 1] / needs[-1]
        times = np.arange(start, end, 0.05)
        voiced = np.array([self._voice(start, time) for time in times])
        time = float(times[int(np.argmin(np.abs(voiced - share * voiced[-1])))])
        return cut, min(max(time, start + 0.5), end - 0.5)

    def _encoded(self, window: int) -> Any:
        if window not in self._windows:
            start = window * WINDOW_STEP_SEC
            for old in [w for w in self._windows if w < window - 2]:
                del self._windows[old]
            self._windows[window] = self._aligner.encode(self._sound.cut(start, start + WINDOW_SEC, GAIN))
        return self._windows[window]

    def _spoken(self, given: int) -> str:
        return f" {self._given[given].text}"

    def _expected(self, pieces: list[Piece], numbers: Sequence[int]) -> float:
        return self._letter_sec * sum(len(plain_word(self._given[pieces[n].given].text)) + 1 for n in numbers)

    def _voice(self, start: float, end: float) -> float:
        """Seconds with a voice between two times."""
        times, sums = self._voiced
        return float(np.interp(end, times, sums) - np.interp(start, times, sums)) if end > start else 0.0

    def _voice_bounds(self, start: float, end: float) -> tuple[float, float]:
        """The first and the last moment with a voice between two times."""
        inside = [t for t in np.arange(start, end, 0.1) if self._voice(t, min(t + 0.1, end)) > 0.05]
        return (max(start, inside[0] - 0.2), min(end, inside[-1] + 0.3)) if inside else (start, end)


def _cumulative_voice(voice: Sequence[TimeSpan], duration: float) -> tuple[list[float], list[float]]:
    times, sums, total = [0.0], [0.0], 0.0
    for span in voice:
        times += [span.start, span.end]
        sums += [total, total := total + span.end - span.start]
    return [*times, duration], [*sums, total]


def _letter_seconds(held: Sequence[Pair], heard: Sequence[Word], given: Sequence[Any]) -> float:
    """Seconds a letter, with the space after the word: the median over words that follow each other in the text."""
    found = [
        (heard[after.heard].start - heard[this.heard].start) / (len(plain_word(given[this.given].text)) + 1)
        for this, after in pairwise(held)
        if after.given == this.given + 1 and heard[after.heard].start - heard[this.heard].start < 2.0
    ]
    return float(np.median(found)) if len(found) >= 8 else USUAL_LETTER_SEC


def _disjoint(words: Sequence[Placed], duration: float) -> tuple[Placed, ...]:
    """The words with starts that rise and ends that are no later than the next start; a word without room is left out."""
    kept: list[Placed] = []
    for word in words:
        start = max(word.start, kept[-1].start + 0.02 if kept else 0.0)
        end = min(max(word.end, start + 0.04), duration)
        if end - start < 0.02:
            continue
        if kept and kept[-1].end > start:
            kept[-1] = replace(kept[-1], end=start)
        kept.append(replace(word, start=start, end=end))
    return tuple(kept)
