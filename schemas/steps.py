"""The steps of the analysis: which there are, what each reads, its share of the time, and whether a Song Map needs it.

Everything that goes through the steps goes through this table: progress, console, plan, packager, batch, evaluation, benchmark.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

StepName = Literal["ingest", "separation", "chords", "beats_key", "asr", "align", "melody", "bass", "structure", "package"]


class Step(StrEnum):
    """The steps whose engine can be chosen."""

    separation = "separation"
    chords = "chords"
    beats_key = "beats_key"
    asr = "asr"
    melody = "melody"
    bass = "bass"
    structure = "structure"


@dataclass(frozen=True)
class StepFacts:
    """What is known of a step before it runs.

    title: what it is called on a screen. share: of the time that a song usually takes (three minutes, packaged models, two cores).
    needs: steps without whose result it does not run. uses: steps whose result it reads where there is one. required: without its result
    there is no Song Map. on_request: it runs only where somebody asks for what it does, and the Song Map of another song lacks it.
    """

    title: str
    share: float
    needs: tuple[StepName, ...] = ()
    uses: tuple[StepName, ...] = ()
    required: bool = False
    on_request: bool = False

    @property
    def reads(self) -> tuple[StepName, ...]:
        return self.needs + self.uses


#: In the order in which they are shown, which is one in which they can run.
STEPS: Final = MappingProxyType[StepName, StepFacts](
    {
        "ingest": StepFacts("decode", 0.02, required=True),
        "separation": StepFacts("separate stems", 0.35, needs=("ingest",)),
        "chords": StepFacts("chords", 0.11, needs=("ingest",)),
        "beats_key": StepFacts("beats and key", 0.15, needs=("ingest",), uses=("chords",), required=True),
        "asr": StepFacts("lyrics", 0.16, needs=("ingest",), uses=("separation",)),
        "align": StepFacts("given lyrics", 0.0, needs=("ingest", "asr"), uses=("separation",), on_request=True),
        "melody": StepFacts("melody", 0.1, needs=("ingest", "separation")),
        "bass": StepFacts("bass", 0.08, needs=("ingest", "separation")),
        "structure": StepFacts("sections", 0.02, needs=("ingest", "beats_key"), uses=("separation", "chords", "asr")),
        "package": StepFacts(
            "Song Map",
            0.01,
            needs=("ingest", "beats_key"),
            uses=("separation", "asr", "align", "chords", "melody", "bass", "structure"),
            required=True,
        ),
    }
)
#: Those that find something out in every song, which the last one joins.
FINDING: Final[tuple[StepName, ...]] = tuple(name for name, facts in STEPS.items() if name != "package" and not facts.on_request)
#: Those of them that have engines.
WITH_ENGINES: Final[tuple[StepName, ...]] = tuple(name for name in STEPS if name in Step.__members__)


def with_inputs(names: Collection[StepName]) -> tuple[StepName, ...]:
    """These steps and all whose results they read, directly or not, in the order of the table."""
    wanted = set(names)
    for name in reversed(STEPS):
        if name in wanted:
            wanted.update(STEPS[name].reads)
    return tuple(name for name in STEPS if name in wanted)


def runs_alone(name: StepName) -> bool:
    """Whether no other step of the same song can run beside this one: each is behind it or ahead of it."""
    return all(name in with_inputs([other]) or other in with_inputs([name]) for other in STEPS)
