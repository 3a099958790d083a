"""How each step of a run went, as the packager sees it: a result, an error, or nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from schemas.results import BeatsKey, SongSource, StepResult
from schemas.song_map import Model, Steps, StepStatus
from schemas.steps import FINDING, STEPS, StepName
from tasks.common.errors import OutOfMemory, PerformiaError, RequiredStepFailed
from tasks.common.placement import is_out_of_memory

R = TypeVar("R", bound=StepResult)

#: A step's result; the error it failed with; or None where it never ran because what it needs failed.
ResultOrError = StepResult | BaseException | None
StepResults = Mapping[StepName, ResultOrError]

_LONGEST_TEXT: Final = 2000


def statuses_of(results: StepResults, flow_run: str, found: Mapping[StepName, tuple[str, ...]] | None = None) -> Steps:
    """The status of every step; of one that runs on request, where `results` has it.

    flow_run: id of the run; a result of another run came from the cache. found: more warnings, by step.
    """
    ran = [step for step in STEPS if step in FINDING or (STEPS[step].on_request and step in results)]
    missing = {step for step in ran if not isinstance(results.get(step), StepResult)}
    status = {step: classify(results.get(step), flow_run, tuple(need for need in STEPS[step].needs if need in missing)) for step in ran}
    for step, warnings in (found or {}).items():
        status[step] = status[step].model_copy(update={"warnings": (*status[step].warnings, *warnings)})
    return Steps.model_validate(status)


def classify(ended: ResultOrError, flow_run: str, missing: tuple[StepName, ...] = ()) -> StepStatus:
    """The status of one step. missing: those of its needs that have no result."""
    if isinstance(ended, StepResult):
        return _with_result(ended, flow_run)
    if isinstance(ended, BaseException):
        return _without_result("failed", describe(ended), code_of(ended))
    return _without_result("skipped", f"It needs the result of: {', '.join(missing)}" if missing else "It did not run", None)


def _with_result(result: StepResult, flow_run: str) -> StepStatus:
    report = result.report
    cached = report.flow_run != flow_run
    return StepStatus(
        status="degraded" if report.status == "degraded" else "cached" if cached else "ok",
        cached=cached,
        engine=report.engine or None,
        models=tuple(Model(name=model.name, digest=model.digest, licence=model.licence) for model in report.models),
        device=report.device,
        seconds=round(report.seconds, 3),
        warnings=report.warnings,
        reasons=report.degraded_because,
        code=None,
    )


def _without_result(status: Literal["failed", "skipped"], reason: str, code: str | None) -> StepStatus:
    return StepStatus(
        status=status, cached=False, engine=None, models=(), device=None, seconds=None, warnings=(), reasons=(reason,), code=code
    )


def describe(error: BaseException) -> str:
    """The text of an error for a person: its own, or its kind and text where it is not one of ours. One line, valid Unicode."""
    text = str(error) if isinstance(error, PerformiaError) else f"{type(error).__name__}: {error}"
    text = " ".join(whole_characters(text).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"


def code_of(error: BaseException) -> str:
    """The stable code of an error, also of one that is not ours."""
    if isinstance(error, PerformiaError):
        return error.code
    return OutOfMemory.code if is_out_of_memory(error) else PerformiaError.code


def whole_characters(text: str) -> str:
    """The text without halves of characters, which file names may hold and JSON may not."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def require(results: StepResults) -> tuple[SongSource, BeatsKey]:
    """The results a Song Map cannot do without.

    Raises what stopped ingest as it is, for then the file is at fault and the error says how; RequiredStepFailed otherwise.
    """
    ingest = results.get("ingest")
    if isinstance(ingest, PerformiaError):
        raise ingest
    return _required("ingest", ingest, SongSource), _required("beats_key", results.get("beats_key"), BeatsKey)


def _required(step: StepName, ended: ResultOrError, kind: type[R]) -> R:
    if isinstance(ended, kind):
        return ended
    if isinstance(ended, BaseException):
        raise RequiredStepFailed(f"{step} failed ({describe(ended)})") from ended
    raise RequiredStepFailed(f"{step} did not run")


def result_of(ended: ResultOrError, kind: type[R]) -> R | None:
    """The result, or None where there is none."""
    return ended if isinstance(ended, kind) else None
