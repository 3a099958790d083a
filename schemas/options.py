"""What a person chooses for a run. The models render as a form in the Prefect UI, and their values are part of the step cache's keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.results import Frozen
from schemas.steps import Step


class Quality(StrEnum):
    """How much time to spend. What it means for each step is in `tasks.common.planning`."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


class AnalysisOptions(Frozen):
    """How a song is analysed."""

    quality: Quality = Field(
        default=Quality.balanced,
        title="Quality",
        description="fast: small models; balanced: the usual choice; best: the largest models, several times slower.",
        json_schema_extra={"position": 1},
    )
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = Field(
        default=None,
        title="Language",
        description="Language of the lyrics as an ISO 639-1 code, such as en. Empty: detected.",
        json_schema_extra={"position": 2},
    )
    strict: bool = Field(
        default=False,
        title="Strict",
        description="Fail the run if any step failed or fell back to a lesser engine.",
        json_schema_extra={"position": 3},
    )
    engines: dict[Step, str] = Field(
        default_factory=dict,
        title="Engines",
        description="Engine to use for a step instead of the best there is, such as {'asr': 'faster-whisper:small'}. It has no fallback.",
        json_schema_extra={"position": 4},
    )
    stems: bool = Field(
        default=True,
        title="Write stems",
        description="Write the stems and the karaoke mix beside the Song Map.",
        json_schema_extra={"position": 5},
    )
