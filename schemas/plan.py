"""Which engines a run will use. Made once at the start of a run, before anything heavy, and part of every step's cache key."""

from __future__ import annotations

from pydantic import Field

from schemas.results import Frozen, ModelUse
from schemas.steps import StepName


class EngineChoice(Frozen):
    """One engine of a step's chain, ready to run: its models are here or can be fetched."""

    engine: str
    models: tuple[ModelUse, ...] = ()


class StepPlan(Frozen):
    """The engines of one step, best first. The first is what the run expects; the others are for when it fails.

    An empty chain means that no engine can run; `degraded_because` says why.
    """

    step: StepName
    chain: tuple[EngineChoice, ...]
    options: dict[str, str | int | float | bool | None] = Field(
        default_factory=dict, description="The options this step reads, and no others."
    )
    degraded_because: tuple[str, ...] = Field(default=(), description="Why better engines of the step are not in the chain.")

    @property
    def expected(self) -> EngineChoice | None:
        """The engine the run expects to use."""
        return self.chain[0] if self.chain else None

    def cache_identity(self) -> dict[str, object]:
        """What of the plan decides the result: the expected engine, its weights, the options."""
        first = self.expected or EngineChoice(engine="")
        return {"engine": first.engine, "models": sorted(f"{model.name}={model.digest}" for model in first.models), "options": self.options}


class AnalysisPlan(Frozen):
    """The plan of every step that has engines."""

    separation: StepPlan
    asr: StepPlan
    beats_key: StepPlan
    chords: StepPlan
    melody: StepPlan
    bass: StepPlan
    structure: StepPlan
