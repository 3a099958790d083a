"""How each step of a run went, as the packager sees it: a result, an error, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from schemas.results import StepName, StepResult
from schemas.song_map import StepStatus
from tasks.common.errors import PerformiaError, RequiredStepFailed

R = TypeVar("R", bound=StepResult)

#: A step's result; the error it failed with; or None where it never ran because what it needs failed.
Outcome = StepResult | BaseException | None

REQUIRED: tuple[StepName, ...] = ("ingest", "beats_key")


def status_of(outcome: Outcome, flow_run: str) -> StepStatus:
    """The status of a step. A result that another flow run computed came from the cache."""
    if isinstance(outcome, StepResult):
        report = outcome.report
        cached = report.flow_run != flow_run
        return StepStatus(
            status="degraded" if report.status == "degraded" else "cached" if cached else "ok",
            cached=cached,
            engine=report.engine,
            models=report.models,
            device=report.device,
            seconds=report.seconds,
            warnings=report.warnings,
            reasons=report.degraded_because,
            code=None,
        )
    if isinstance(outcome, BaseException):
        code = outcome.code if isinstance(outcome, PerformiaError) else "UNEXPECTED_ERROR"
        return _without_result("failed", describe(outcome), code)
    return _without_result("skipped", "a step it needs failed", None)


def _without_result(status: str, reason: str, code: str | None) -> StepStatus:
    return StepStatus.model_validate(
        {
            "status": status,
            "cached": False,
            "engine": None,
            "models": (),
            "device": None,
            "seconds": None,
            "warnings": (),
            "reasons": (reason,),
            "code": code,
        }
    )


def describe(error: BaseException) -> str:
    """The text of an error for a person: its own, or its kind and text where it is not one of ours."""
    return str(error) if isinstance(error, PerformiaError) else f"{type(error).__name__}: {error}"


def refuse_without_required(outcomes: Mapping[StepName, Outcome]) -> None:
    """Raise what stopped a required step: its own error where it is a named one, else RequiredStepFailed."""
    for step in REQUIRED:
        outcome = outcomes[step]
        if isinstance(outcome, PerformiaError):
            raise outcome
        if isinstance(outcome, BaseException):
            raise RequiredStepFailed(f"{step}: {describe(outcome)}") from outcome
        if outcome is None:
            raise RequiredStepFailed(f"{step} did not run")


def result_of(outcome: Outcome, kind: type[R]) -> R | None:
    """The result, or None where there is none."""
    return outcome if isinstance(outcome, kind) else None
