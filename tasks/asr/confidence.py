"""How likely a word is right, from the probability that the model gives it: a monotone curve for each model.

Whisper's probabilities are too low for the words that it is unsure of and too high for those it is sure of. A word's confidence is the
logistic function of a straight line in the logit of its probability (Platt 1999, "Probabilistic outputs for support vector machines").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, log
from typing import Final

from tasks.asr.recognizer import RecognizedWord

#: Slope and height of the line, by the model's weights. Base's is learnt on three English songs and a French one, each counting the same,
#: of the half that constants are chosen on (README.md). Tiny.en has it too: on the English three its own is no better, and it has no harder
#: song to learn from. Probabilities of other models are left as they are.
LINES: Final[Mapping[str, tuple[float, float]]] = {"whisper-base": (0.66, 0.59), "whisper-tiny.en": (0.66, 0.59)}
#: Probabilities closer to 0 and 1 than this are no surer.
SUREST: Final = 0.99


def calibrated(phrases: Sequence[Sequence[RecognizedWord]], model: str) -> tuple[tuple[RecognizedWord, ...], ...]:
    """The phrases, each word's probability being that of its being right. model: name of a model in the registry."""
    line = LINES.get(model.removeprefix("openai-"))
    if line is None:
        return tuple(tuple(phrase) for phrase in phrases)
    return tuple(tuple(replace(word, probability=_probability_right(word.probability, *line)) for word in phrase) for phrase in phrases)


def _probability_right(probability: float, slope: float, height: float) -> float:
    within = min(max(probability, 1 - SUREST), SUREST)
    return 1 / (1 + exp(-(slope * log(within / (1 - within)) + height)))
