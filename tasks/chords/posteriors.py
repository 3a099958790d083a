"""What an engine hears: how likely each chord of its vocabulary is, frame by frame.

Posteriors are kept apart from the chords decoded from them, so that a chord's confidence and its alternatives are what the model believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LogProbabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ChordPosteriors:
    """labels: (K,) Harte labels. log_probs: (frames, K), frame i centred on i · hop_sec; each row's probabilities sum to 1.

    change_cost: what a change of chord costs the decoder (nats). engine: who heard them, for what was learnt about it.
    """

    labels: tuple[str, ...]
    log_probs: LogProbabilities
    hop_sec: float
    change_cost: float
    engine: str = ""

    def frames_in(self, start: float, end: float) -> slice:
        """The frames centred in [start, end) (s); the nearest one if there are none."""
        last = len(self.log_probs) - 1
        first = min(max(int(np.ceil(start / self.hop_sec - 1e-6)), 0), last)
        stop = min(int(np.ceil(end / self.hop_sec - 1e-6)), last + 1)
        return slice(first, max(stop, first + 1))

    def mean_log(self, start: float, end: float) -> Floats:
        """(K,) mean log probability of each chord between two times (s)."""
        mean: Floats = self.log_probs[self.frames_in(start, end)].mean(axis=0, dtype=np.float64)
        return mean

    def belief(self, start: float, end: float) -> Floats:
        """(K,) mean probability of each chord between two times (s)."""
        mean: Floats = np.exp(self.log_probs[self.frames_in(start, end)]).mean(axis=0, dtype=np.float64)
        return mean


def normalise_rows(scores: LogProbabilities) -> LogProbabilities:
    """Log probabilities of unnormalised log scores (frames, K), in place: each row's probabilities sum to 1."""
    scores -= scores.max(axis=1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return scores
