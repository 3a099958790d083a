"""What the loaders share: tables of numbers, spans, and mixing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from tasks.common.storage.atomic import whole
from tasks.evaluation.annotations import Annotations, Span, TimedWord


def columns(file: Path, delimiter: str | None = None) -> list[list[str]]:
    """The fields of each line of a text file. delimiter: None for any white space."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split(delimiter) for line in lines if line.strip()]


def beats_and_positions(file: Path) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Beat times and, where the file has them, positions in the bar."""
    rows = columns(file)
    return tuple(float(row[0]) for row in rows), tuple(round(float(row[1])) for row in rows if len(row) > 1)


def spans(file: Path) -> tuple[Span, ...]:
    """Lines of start, end, label."""
    return tuple(Span(float(start), float(end), " ".join(label)) for start, end, *label in columns(file))


def cut(truth: Annotations, until: float) -> Annotations:
    """What is known of a song's beginning: beats, bars, keys and chords before a time in seconds."""

    def before(spans: Sequence[Span] | None) -> tuple[Span, ...] | None:
        return None if spans is None else tuple(replace(s, end=min(s.end, until)) for s in spans if s.start < until)

    beats, downbeats = (None if t is None else tuple(beat for beat in t if beat < until) for t in (truth.beats, truth.downbeats))
    tempo_bpm = tempo_of(beats) if beats else None
    return Annotations(beats, downbeats, truth.meter, tempo_bpm, keys=before(truth.keys), chords=before(truth.chords))


def timed_words(file: Path, text: str) -> tuple[TimedWord, ...]:
    """A CSV file with the columns start, end and the one named."""
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(TimedWord(float(row["start"]), float(row["end"]), row[text]) for row in csv.DictReader(lines))


def tempo_of(beats: Sequence[float]) -> float | None:
    """Beats a minute, from the median distance."""
    return float(60.0 / np.median(np.diff(beats))) if len(beats) > 1 else None


def as_it_is(file: Path) -> Callable[[], Path]:
    """The audio of a song that needs no making."""
    return partial(_present, file)


def mixed(parts: Sequence[Path], target: Path) -> Callable[[], Path]:
    """The sum of audio files of one sample rate, as a 32-bit float WAV file that is made once."""
    return partial(_mix, tuple(parts), target)


def _present(file: Path) -> Path:
    return file


def _mix(parts: tuple[Path, ...], target: Path) -> Path:
    if not target.exists():
        sounds = [soundfile.read(part, always_2d=True, dtype="float32") for part in parts]
        total = np.zeros((max(len(sound) for sound, _ in sounds), 2), np.float32)
        for sound, _ in sounds:
            total[: len(sound)] += sound
        with whole(target) as temporary:
            soundfile.write(temporary, total, sounds[0][1], subtype="FLOAT", format="WAV")
    return target
