"""Decoding a song's passages with a recogniser: language, several passages at once, further tries where the text is a loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import groupby

import numpy as np

from tasks.asr.accompaniment import Sound
from tasks.asr.passages import Passage
from tasks.asr.recognizer import SAMPLE_RATE, WINDOW_SEC, Recognition, RecognizedSegment, Recognizer, compression_ratio, is_loop
from tasks.common.errors import LanguageUnsupported
from tasks.common.progress import Progress, silent

#: The language is told from the first window of so many of the longest passages.
LANGUAGE_PASSAGES = 3
#: A window is cut in two for another try as long as the parts are at least this long.
MIN_PART_SEC = 7.0
#: How often progress is told while passages are decoded.
_TELL_SEC = 0.5


def transcribe_passages(
    recognizer: Recognizer, sound: Sound, passages: Sequence[Passage], language: str | None, progress: Progress = silent
) -> Recognition:
    """Transcribe the passages of a song. language: ISO 639-1 code, or None to detect it. Raises LanguageUnsupported."""
    spoken, confidence = _language(recognizer, sound, passages, language)
    total = sum(passage.end - passage.start for passage in passages)
    reached = [0.0] * len(passages)
    stopped = threading.Event()

    def transcribe(number: int) -> list[RecognizedSegment]:
        passage = passages[number]
        found: list[RecognizedSegment] = []
        for segment in _decode(recognizer, sound, passage, sound.gains[0], spoken):
            found.append(segment)
            if stopped.is_set():
                return found
            if segment.words:
                reached[number] = min(segment.words[-1].end, passage.end) - passage.start
        found = _without_loops(recognizer, sound, found, passage, spoken)
        reached[number] = passage.end - passage.start
        return found

    # The longest first, so that none is left over when the others are done.
    order = sorted(range(len(passages)), key=lambda number: passages[number].start - passages[number].end)
    pool = ThreadPoolExecutor(recognizer.at_once, "passage")
    try:
        futures = {number: pool.submit(transcribe, number) for number in order}
        waiting = set(futures.values())
        while waiting:
            finished, waiting = wait(waiting, _TELL_SEC, FIRST_EXCEPTION)
            for future in finished:
                future.result()
            done = sum(future.done() for future in futures.values())
            progress(min(1.0, sum(reached) / total), f"{done} of {len(passages)} passages")
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
    return Recognition(spoken, confidence, tuple(segment for number in range(len(passages)) for segment in futures[number].result()))


def _language(recognizer: Recognizer, sound: Sound, passages: Sequence[Passage], asked: str | None) -> tuple[str, float | None]:
    known = recognizer.languages
    if asked is not None:
        if asked not in known:
            knows = "English only" if known == ("en",) else f"{len(known)} other languages"
            raise LanguageUnsupported(f"The lyrics were said to be in {asked!r}, and the speech model knows {knows}")
        return asked, None
    if len(known) == 1:
        return known[0], None
    longest = sorted(passages, key=lambda passage: passage.start - passage.end)[:LANGUAGE_PASSAGES]
    firsts = [Passage(passage.start, min(passage.end, passage.start + WINDOW_SEC)) for passage in longest]
    windows = [recognizer.language_probabilities(sound.cut(first.start, first.end, sound.gains[0])) for first in firsts]
    # Weighted by how much was heard: a second of humming says little.
    weights = [first.end - first.start for first in firsts]
    mean = {code: float(np.average([window.get(code, 0.0) for window in windows], weights=weights)) for code in known}
    best = max(known, key=lambda code: mean[code])
    return best, min(1.0, mean[best])


def _decode(recognizer: Recognizer, sound: Sound, stretch: Passage, gain: float, language: str) -> Iterator[RecognizedSegment]:
    for segment in recognizer.decode(sound.cut(stretch.start, stretch.end, gain), language):
        yield segment.shifted(stretch.start)


def _without_loops(
    recognizer: Recognizer, sound: Sound, segments: list[RecognizedSegment], passage: Passage, language: str
) -> list[RecognizedSegment]:
    """The segments, with every window that came out as a loop decoded again, otherwise.

    The usual remedy, sampling at rising temperatures, answers differently each time. Another balance of voice and accompaniment, or
    another cut, mostly breaks the loop too, and answers always the same.
    """
    windows = [list(group) for _, group in groupby(segments, key=lambda segment: segment.window)]
    kept: list[RecognizedSegment] = []
    for index, window in enumerate(windows):
        start = window[0].window
        end = windows[index + 1][0].window if index + 1 < len(windows) else min(passage.end, start + WINDOW_SEC)
        kept += _again(recognizer, sound, window, Passage(start, end), language) if is_loop(window) else window
    return kept


def _again(
    recognizer: Recognizer, sound: Sound, window: list[RecognizedSegment], stretch: Passage, language: str
) -> list[RecognizedSegment]:
    """The first try that is not a loop, else the one that repeats itself least."""
    tries = [window]
    for gain in sound.gains[1:]:
        tries.append(list(_decode(recognizer, sound, stretch, gain, language)))
        if not is_loop(tries[-1]):
            return tries[-1]
    if stretch.end - stretch.start >= 2 * MIN_PART_SEC:
        middle = _quietest(sound, stretch)
        halves: list[RecognizedSegment] = []
        for part in (Passage(stretch.start, middle), Passage(middle, stretch.end)):
            halves += _without_loops(recognizer, sound, list(_decode(recognizer, sound, part, sound.gains[0], language)), part, language)
        tries.append(halves)
    return min(tries, key=compression_ratio)


def _quietest(sound: Sound, stretch: Passage) -> float:
    """Where the voice is quietest (over 0.2 s) in the middle third of a stretch."""
    third = (stretch.end - stretch.start) / 3
    piece = sound.cut(stretch.start + third, stretch.end - third, sound.gains[-1])
    hop = SAMPLE_RATE // 10
    power = np.square(piece[: len(piece) // hop * hop].reshape(-1, hop)).mean(axis=1)
    quiet = int(np.argmin(power[:-1] + power[1:])) + 1
    return stretch.start + third + quiet * hop / SAMPLE_RATE
