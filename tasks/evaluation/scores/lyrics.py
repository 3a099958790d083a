"""Lyrics: words, their times, and lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

import alt_eval
import jiwer
import numpy as np

from schemas.results import Lyrics
from tasks.evaluation.annotations import Annotations, TimedWord


class FoundWord(NamedTuple):
    """A word that was recognised, as far as scoring goes."""

    start: float
    end: float
    text: str
    confidence: float = 1.0


def score_lyrics(truth: Annotations, found: Lyrics) -> dict[str, float]:
    """Word error rate, onsets of the words that are right, line breaks. Where nothing is sung: how many words were invented a minute."""
    heard = [FoundWord(word.start, word.end, word.text, word.confidence) for line in found.lines for word in line.words]
    if truth.words is None:
        return {}
    if not truth.words:
        return {"invented_words": float(len(heard))}
    scores = word_figures(truth.words, heard, truth.language)
    if truth.lines:
        scores |= line_figures(truth.lines, [line.text for line in found.lines], truth.language)
    return scores


def word_figures(truth: Sequence[TimedWord], found: Sequence[FoundWord], language: str | None) -> dict[str, float]:
    """jiwer's WER after Whisper's text normaliser; over its alignment, how far off the onsets of the right words are."""
    sung, heard = _normalised(truth, language), _normalised(found, language)
    if not heard:
        return {"wer": 1.0, "onset_median_sec": float("nan"), "onset_within_0.3s": 0.0}
    output = jiwer.process_words(" ".join(text for text, _ in sung), " ".join(text for text, _ in heard))
    errors = [abs(truth[sung[a][1]].start - found[heard[b][1]].start) for a, b in _right(output)]
    return {
        "wer": float(output.wer),
        "onset_median_sec": float(np.median(errors)) if errors else float("nan"),
        "onset_within_0.3s": float(np.mean(np.array(errors) <= 0.3)) if errors else 0.0,
    }


def line_figures(truth: Sequence[TimedWord], found: Sequence[str], language: str | None) -> dict[str, float]:
    """F1 of the line breaks by alt-eval (Cífka et al., ISMIR 2024)."""
    scores = alt_eval.compute_metrics(["\n".join(line.text for line in truth)], ["\n".join(found)], languages=[language or "en"])
    return {"line_f": float(np.nan_to_num(scores["F1_line"]))}


def word_hits(truth: Annotations, found: Lyrics) -> list[tuple[float, bool]]:
    """(confidence, right) of each word."""
    heard = [FoundWord(word.start, word.end, word.text, word.confidence) for line in found.lines for word in line.words]
    if not truth.words:
        return [(word.confidence, False) for word in heard] if truth.words is not None else []
    normal, sung = _normalised(heard, truth.language), _normalised(truth.words, truth.language)
    if not normal:
        return []
    output = jiwer.process_words(" ".join(text for text, _ in sung), " ".join(text for text, _ in normal))
    right = {b for _, b in _right(output)}
    return [(heard[index].confidence, number in right) for number, (_, index) in enumerate(normal)]


def _right(output: jiwer.WordOutput) -> list[tuple[int, int]]:
    """Pairs of indices (reference, hypothesis) of equal words."""
    return [
        (chunk.ref_start_idx + step, chunk.hyp_start_idx + step)
        for chunk in output.alignments[0]
        if chunk.type == "equal"
        for step in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def _normalised(words: Iterable[TimedWord | FoundWord], language: str | None) -> list[tuple[str, int]]:
    """Words after the normaliser, each with the index of what it comes from: `don't` becomes two, `(oh)` none."""
    normalise = _normaliser(language == "en")
    return [(part, index) for index, word in enumerate(words) for part in normalise(word.text).split()]


@cache
def _normaliser(english: bool) -> Callable[[str], str]:
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    found: Callable[[str], str] = EnglishTextNormalizer() if english else BasicTextNormalizer()
    return found
