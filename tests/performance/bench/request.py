"""What a person asks of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from schemas.options import AnalysisOptions


def _silent(_: str) -> None: ...


@dataclass(frozen=True)
class Request:
    """The songs, how they are analysed, and what single parts need.

    minutes: lengths of `growth`. stock: a virtual environment with madmom's published programs; whisper_checkpoint: weights of
    openai-whisper; models: a folder with models, each in a folder of its name (all three: `race`). profiles: gets the flame graphs of
    `profile`, which are not kept where it is None. tell: called before each long stage.
    """

    songs: tuple[Path, ...]
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    minutes: tuple[float, ...] = (1, 3, 10, 30, 60)
    stock: Path | None = None
    whisper_checkpoint: Path | None = None
    models: Path | None = None
    profiles: Path | None = None
    tell: Callable[[str], None] = _silent

    @property
    def song(self) -> Path:
        """The one that parts with a single song take."""
        return self.songs[0]

    @property
    def engine_words(self) -> list[str]:
        """The choice of engines, as the command line has it."""
        return [word for step, name in self.analysis.engines.items() for word in ("--engine", f"{step}={name}")]

    @property
    def words(self) -> list[str]:
        """The options of the analysis, as the command line has them."""
        return ["--quality", str(self.analysis.quality), *self.engine_words]
