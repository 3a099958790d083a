"""The interface of a speech recogniser, and what it returns: words and segments, before anything is dropped or grouped."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.common.audio import Samples

#: Of the sound that recognisers read.
SAMPLE_RATE = 16000
#: How much Whisper reads at once.
WINDOW_SEC = 30.0
#: A text that zlib makes smaller than this is a loop, one less likely than this a guess (Radford et al. 2022, section 4.5).
MAX_COMPRESSION_RATIO, MIN_AVG_LOGPROB = 2.4, -1.0


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


def text_of(segments: Sequence[RecognizedSegment]) -> str:
    return "".join(word.text for segment in segments for word in segment.words).strip()


def compression_ratio(segments: Sequence[RecognizedSegment]) -> float:
    """How much smaller zlib makes the text of a window: large where it repeats itself."""
    data = text_of(segments).encode("utf-8")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def is_loop(segments: Sequence[RecognizedSegment]) -> bool:
    """Whether the text of a window repeats itself as a model does that got stuck."""
    return compression_ratio(segments) > MAX_COMPRESSION_RATIO
