"""What the service says of itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from fastapi import APIRouter, Path

from deployments.api.problems import ProblemError, by_code, meaning, problem_page, responses, status_of
from schemas.api.problem import Problem
from tasks.common.errors import NothingThere

router = APIRouter(tags=["service"])


def own_version() -> str:
    """Performia's version."""
    try:
        return version("performia")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


@router.get("/v1/problems/{code}", responses=responses(NothingThere))
def explain_problem(code: Annotated[str, Path(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]) -> Problem:
    """What a code means, which status it comes with, and what to do about it."""
    error = by_code(code)
    if error is None:
        raise ProblemError(NothingThere("There is no such code"))
    page = problem_page(code)
    what = meaning(error)
    return Problem(type=page, title=what, status=status_of(error), detail=what, code=code, todo=error.todo.rstrip("."), instance=page)
