"""The interface of a speech recogniser, and what it returns: words and segments, before anything is dropped or grouped."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.common.audio import Samples

#: Of the sound that recognisers read.
SAMPLE_RATE = 16000
#: How much Whisper reads at once.
WINDOW_SEC = 30.0
#: A text that zlib makes smaller than this is a loop, one less likely than this a guess (Radford et al. 2022, section 4.5).
MAX_COMPRESSION_RATIO, MIN_AVG_LOGPROB = 2.4, -1.0
#: Two frames of its spectrogram, which are one of its encoder's, and of the alignment.
ALIGNMENT_STEP_SEC = 0.02


@dataclass(frozen=True)
class RecognizedWord:
    """A word as transcribed, with its punctuation and a leading space where it starts one.

    start, end: seconds. probability: mean probability of its tokens.
    """

    start: float
    end: float
    text: str
    probability: float


@dataclass(frozen=True)
class RecognizedSegment:
    """A stretch of text that the model ended with a timestamp, usually a phrase.

    window: start of the window (at most 30 s, decoded in one go) it comes from, in seconds. no_speech_prob: probability that the window
    holds no speech. avg_logprob: mean log probability of the window's tokens.
    """

    window: float
    words: tuple[RecognizedWord, ...]
    no_speech_prob: float
    avg_logprob: float

    def shifted(self, seconds: float) -> RecognizedSegment:
        """The same segment, later."""
        words = tuple(RecognizedWord(word.start + seconds, word.end + seconds, word.text, word.probability) for word in self.words)
        return RecognizedSegment(self.window + seconds, words, self.no_speech_prob, self.avg_logprob)


@dataclass(frozen=True)
class Recognition:
    """Everything that was recognised, in order. `language_confidence` is None where the language was given or the model knows only one."""

    language: str
    language_confidence: float | None
    segments: tuple[RecognizedSegment, ...]


class Recognizer(Protocol):
    """A loaded speech model."""

    @property
    def at_once(self) -> int:
        """How many threads may decode at the same time."""
        ...

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the languages it knows."""
        ...

    def language_probabilities(self, samples: Samples) -> dict[str, float]:
        """Probability of each language from at most 30 s of sound: (samples,) at 16 kHz."""
        ...

    def decode(self, samples: Samples, language: str) -> Iterator[RecognizedSegment]:
        """Transcribe (samples,) at 16 kHz. Times count from the first sample. The same samples give the same words."""
        ...


class Aligner(Protocol):
    """A loaded speech model that says where words are sung that are known to be."""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the languages it knows."""
        ...

    def encode(self, samples: Samples) -> Any:
        """What the model hears in at most `WINDOW_SEC`: (samples,) at 16 kHz. For `align`, as often as wanted."""
        ...

    def align(self, encoded: Any, start: float, end: float, language: str, words: Sequence[str]) -> tuple[RecognizedWord, ...]:
        """The words, all of them, where the model attends to while it reads them, between two times.

        encoded: a window. start, end: seconds from its first sample, and so are the words' times. words: each with a leading space where it
        starts one. A word's probability is that of its tokens, each after all words before it (geometric mean).
        """
        ...


def aligned_words(
    words: Sequence[str], tokens: Sequence[int], path: Sequence[tuple[int, int]], probabilities: Sequence[float], start: float, end: float
) -> tuple[RecognizedWord, ...]:
    """The words of a path of (token, step of `ALIGNMENT_STEP_SEC`) that begins at `start` and ends at `end`.

    tokens: how many each word has. probabilities: of all tokens.
    """
    rows, steps = np.array([row for row, _ in path]), np.array([step for _, step in path])
    first = np.full(sum(tokens) + 1, np.inf)
    for row, step in zip(rows[::-1], steps[::-1], strict=True):
        first[min(row, len(first) - 1)] = step
    times = np.minimum(start + first * ALIGNMENT_STEP_SEC, end)
    edges = np.concatenate(([0], np.cumsum(tokens)))
    logs: npt.NDArray[np.float64] = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-9))
    found = []
    for word, begin, stop in zip(words, edges[:-1], edges[1:], strict=True):
        last = float(times[stop]) if stop < len(times) - 1 else end
        found.append(RecognizedWord(float(times[begin]), max(last, float(times[begin])), word, float(np.exp(logs[begin:stop].mean()))))
    return tuple(found)


def steps_between(start: float, end: float, most: int) -> tuple[int, int]:
    """The encoder's steps between two times, two at least."""
    first = min(max(0, int(start / ALIGNMENT_STEP_SEC)), most - 2)
    return first, min(max(first + 2, round(end / ALIGNMENT_STEP_SEC)), most)


def text_of(segments: Sequence[RecognizedSegment]) -> str:
    return "".join(word.text for segment in segments for word in segment.words).strip()


def compression_ratio(segments: Sequence[RecognizedSegment]) -> float:
    """How much smaller zlib makes the text of a window: large where it repeats itself."""
    data = text_of(segments).encode("utf-8")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def is_loop(segments: Sequence[RecognizedSegment]) -> bool:
    """Whether the text of a window repeats itself as a model does that got stuck."""
    return compression_ratio(segments) > MAX_COMPRESSION_RATIO
