"""Whether both sides of a race found the same: faster, and something else, would be no win.

Beats: F-measure within 70 ms, theirs as the reference (mir_eval). Chords: share of the time with the same major or minor triad. Lyrics:
word error rate after Whisper's text normaliser, where the song's words are known (jiwer, as `performia evaluate` has it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

_PITCH_CLASSES: Final = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_WORDS: Final = "derived_words.csv"
Spans = Sequence[tuple[float, float, str]]


def compare(printed: Mapping[str, str], ours: Mapping[str, Any], madmoms: Mapping[str, Any], song: Path, heard: Path) -> dict[str, Any]:
    """printed: what the stock tools printed, by name. ours: results of our steps as JSON; madmoms: of our step with `chords=madmom`.
    heard: the JSON that whisper wrote. The word error rates only where `derived_words.csv` (start, end, word, line) lies beside the song.
    """
    key = ours["beats_key"]["global_key"]
    found: dict[str, Any] = {
        "key_is_the_same": same_key(printed["key"], f"{key['tonic']} {key['mode']}" if key else ""),
        "beats_f": round(beats_f(times(printed["downbeats"]), [beat["time"] for beat in ours["beats_key"]["beats"]]), 3),
        "chords_same_share": round(same_chords(spans(printed["chords (madmom)"]), _chords(madmoms)), 3),
    }
    words = song.parent / _WORDS
    return {**found, "word_error_rate": word_error_rates(words, ours["asr"], heard)} if words.is_file() else found


def same_key(theirs: str, ours: str) -> bool | None:
    """Enharmonic spellings are the same key. None where one of them says none."""
    first, second = _key(theirs), _key(ours)
    return None if first is None or second is None else first == second


def _key(text: str) -> tuple[int, str] | None:
    found = re.search(r"\b([A-G])([#b♯♭]?) (major|minor)\b", text)
    if found is None:
        return None
    step, accidental, mode = found.groups()
    shift = 1 if accidental in ("#", "♯") else -1 if accidental else 0
    return (_PITCH_CLASSES[step] + shift) % 12, mode


def times(printed: str) -> list[float]:
    """The first number of each line that begins with one: seconds."""
    return [float(found) for found in re.findall(r"^(\d+(?:\.\d+)?)\s", printed, re.MULTILINE)]


def spans(printed: str) -> list[tuple[float, float, str]]:
    """Lines of start, end and label."""
    rows = re.findall(r"^(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)\s+(\S+)\s*$", printed, re.MULTILINE)
    return [(float(start), float(end), label) for start, end, label in rows]


def beats_f(theirs: Sequence[float], ours: Sequence[float]) -> float:
    from tasks.evaluation.scores.beats import f_measure

    return f_measure(theirs, ours)


def same_chords(theirs: Spans, ours: Spans) -> float:
    """Share of the time that both label in which their major or minor triads are the same; other chords of theirs do not count."""
    import mir_eval

    if not theirs or not ours:
        return 0.0
    edges = sorted({edge for start, end, _ in (*theirs, *ours) for edge in (start, end)})
    middles = [((start + end) / 2, end - start) for start, end in pairwise(edges)]
    pairs = [(_at(theirs, middle), _at(ours, middle), length) for middle, length in middles]
    both = [(first, second, length) for first, second, length in pairs if first is not None and second is not None]
    if not both:
        return 0.0
    same = mir_eval.chord.majmin([first for first, _, _ in both], [second for _, second, _ in both])
    counted = [(value, length) for value, (_, _, length) in zip(same, both, strict=True) if value >= 0]
    total = sum(length for _, length in counted)
    return float(sum(value * length for value, length in counted) / total) if total else 0.0


def _at(chords: Spans, time: float) -> str | None:
    return next((label for start, end, label in chords if start <= time < end), None)


def _chords(results: Mapping[str, Any]) -> list[tuple[float, float, str]]:
    return [(chord["start"], chord["end"], chord["label"]) for chord in results["chords"]["chords"]]


def word_error_rates(words: Path, ours: Mapping[str, Any], heard: Path) -> dict[str, float]:
    """{"whisper": WER, "performia": WER}, against the words of the CSV file."""
    from tasks.evaluation.datasets.reading import timed_words
    from tasks.evaluation.scores.lyrics import FoundWord, word_figures

    truth = timed_words(words, "word")
    theirs = json.loads(heard.read_text(encoding="utf-8"))
    language = theirs.get("language", "en")
    spoken = {
        "whisper": [FoundWord(word["start"], word["end"], word["word"]) for part in theirs["segments"] for word in part.get("words", [])],
        "performia": [FoundWord(word["start"], word["end"], word["text"]) for line in ours["lines"] for word in line["words"]],
    }
    return {side: round(word_figures(truth, found, language)["wer"], 3) for side, found in spoken.items()}
