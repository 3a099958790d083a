"""What people have written down about a song, and the song it is about.

Times are seconds from the start of the audio file, pitches MIDI note numbers. What is not annotated is None, and is not scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.results import StemName
from schemas.steps import StepName
from tasks.evaluation.split import Split


@dataclass(frozen=True)
class Span:
    """A label that holds from start to end: a chord, a key, a section."""

    start: float
    end: float
    label: str


def label_at(spans: Sequence[Span], time: float) -> str | None:
    """What holds at a time; None outside all spans."""
    return next((span.label for span in spans if span.start <= time < span.end), None)


@dataclass(frozen=True)
class TimedWord:
    start: float
    end: float
    text: str


@dataclass(frozen=True)
class TrueNote:
    start: float
    end: float
    midi: float


@dataclass(frozen=True)
class PitchTrack:
    """Pitch along time: hertz, 0 where nothing sounds."""

    times: tuple[float, ...]
    hertz: tuple[float, ...]


@dataclass(frozen=True)
class Annotations:
    """What is known of one song."""

    beats: tuple[float, ...] | None = None
    downbeats: tuple[float, ...] | None = None
    meter: int | None = None
    """Beats in a bar."""
    tempo_bpm: float | None = None
    keys: tuple[Span, ...] | None = None
    """Labels such as `Gb major`."""
    chords: tuple[Span, ...] | None = None
    """Labels in Harte syntax."""
    words: tuple[TimedWord, ...] | None = None
    """Empty where nothing is sung."""
    lines: tuple[TimedWord, ...] | None = None
    language: str | None = None
    melody: tuple[TrueNote, ...] | None = None
    octave_known: bool = True
    """Whether the octave of the melody can be relied on."""
    melody_pitch: PitchTrack | None = None
    bass: tuple[TrueNote, ...] | None = None
    bass_stem: Path | None = None
    """The bass alone, whose pitch is the truth about the bass."""
    sections: tuple[Span, ...] | None = None
    section_labels: str = "functions"
    """`functions` (verse, chorus …) or `letters` (which phrases repeat each other)."""
    stems: dict[StemName, Path] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[StepName, ...]:
        """The steps that can be scored with this."""
        known: dict[StepName, bool] = {
            "separation": bool(self.stems),
            "beats_key": self.beats is not None or self.tempo_bpm is not None or self.keys is not None,
            "asr": self.words is not None,
            "chords": self.chords is not None,
            "melody": self.melody is not None or self.melody_pitch is not None,
            "bass": self.bass is not None or self.bass_stem is not None,
            "structure": self.sections is not None,
        }
        return tuple(step for step, is_known in known.items() if is_known)


@dataclass(frozen=True)
class AnnotatedSong:
    """A song of a data set.

    audio: makes the audio file where it has to be mixed or rendered first, and returns its path. It may raise DataUnusable.
    split: which half of a split data set it is in (split.py). style: what songs are alike, where the data set says so.
    """

    dataset: str
    name: str
    audio: Callable[[], Path]
    truth: Annotations
    split: Split | None = None
    style: str = ""

    @property
    def id(self) -> str:
        return f"{self.dataset}/{self.name}"
