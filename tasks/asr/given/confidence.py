"""How likely a placed word is within 0.3 s of where it is sung: a logistic function of how it was found (Platt 1999)."""

from __future__ import annotations

from math import exp, log
from typing import Final

from tasks.asr.given.placing import Placed

#: Height, and slope by the logit of the model's probability, for words that were heard; learnt on five songs, each counting the same
#: (README.md).
#: Of words that were not heard the probability says nothing there, and 0.69 of them are right.
HEARD: Final = (1.07, 0.64)
BETWEEN: Final = (0.8, 0.0)


def confidence_of(word: Placed) -> float:
    """From 0 to 1."""
    within = min(max(word.believed, 0.005), 0.995)
    height, slope = HEARD if word.likeness > 0 else BETWEEN
    return round(1 / (1 + exp(-(height + slope * log(within / (1 - within))))), 4)
