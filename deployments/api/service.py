"""What the service says of itself: models, options, version, health, metrics, and what each code of an error means."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path as FilePath
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response

from deployments.api.access import DeskHere, Prefect, Reader, SettingsHere
from deployments.api.metrics import CONTENT_TYPE, metrics_text
from deployments.api.problems import ProblemError, by_code, meaning, problem_page, responses, status_of
from schemas.api.problem import Problem
from schemas.api.service import Health, ModelCard, ModelList, Version
from schemas.options import AnalysisOptions
from schemas.song_map import SCHEMA_VERSION
from tasks.common import models
from tasks.common.errors import ApiUnreachable, DeploymentMissing, NothingThere, StorageError
from tasks.common.settings import Settings
from tasks.common.storage.atomic import atomic_write

router = APIRouter(tags=["service"])

PAGE: Final = FilePath(__file__).with_name("docs.html")


def own_version() -> str:
    """Performia's version."""
    try:
        return version("performia")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


@router.get("/docs", include_in_schema=False)
def read_documentation() -> Response:
    """A page that shows the OpenAPI document. FastAPI's own takes its program from another site."""
    headers = {"content-security-policy": "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"}
    return Response(PAGE.read_bytes(), media_type="text/html; charset=utf-8", headers=headers)


@router.get("/v1/version", responses=responses())
def read_version() -> Version:
    """Which program answers."""
    return Version(performia=own_version(), api="1", schema_version=SCHEMA_VERSION, prefect=version("prefect"))


@router.get("/v1/models", responses=responses())
def list_models(key: Reader) -> ModelList:  # noqa: ARG001 (asked for, not read)
    """The models: the step each serves, its size and licence, and whether it is on this machine."""
    cards = []
    for model in models.all_models():
        found = models.find_unchecked(model.name)
        here = found[1] if found else ""
        cards.append(
            ModelCard(name=model.name, step=model.step, bytes=model.size or None, licence=model.licence, here=here, page=model.page)
        )
    return ModelList(models=tuple(cards))


@router.get("/v1/options", responses=responses())
def describe_options(key: Reader) -> dict[str, Any]:  # noqa: ARG001 (asked for, not read)
    """The JSON Schema of a job's options."""
    return AnalysisOptions.model_json_schema()


@router.get("/healthz", responses=responses())
def is_alive() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", responses=responses(DeploymentMissing, StorageError))
async def is_ready(prefect: Prefect, settings: SettingsHere, desk: DeskHere) -> Health:
    """Songs can be taken: Prefect's server answers and knows how to analyse one, and uploads can be written."""
    if await prefect.api_healthcheck() is not None:
        raise ApiUnreachable("The Prefect server does not answer")
    await desk.runs.deployment()
    await asyncio.to_thread(_refuse_unwritable, settings)
    return Health(status="ok")


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        HTTPStatus.OK: {"description": "Prometheus's text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **responses(),
    },
)
async def read_metrics(key: Reader, settings: SettingsHere, desk: DeskHere) -> Response:  # noqa: ARG001 (asked for, not read)
    """Jobs by state, seconds by step, how many steps came from the cache, bytes on the disk."""
    return Response(await metrics_text(desk, settings), media_type=CONTENT_TYPE)


@router.get("/v1/problems/{code}", responses=responses(NothingThere))
def explain_problem(code: Annotated[str, Path(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]) -> Problem:
    """What a code means, which status it comes with, and what to do about it."""
    error = by_code(code)
    if error is None:
        raise ProblemError(NothingThere("There is no such code"))
    page = problem_page(code)
    what = meaning(error)
    return Problem(type=page, title=what, status=status_of(error), detail=what, code=code, todo=error.todo.rstrip("."), instance=page)


def _refuse_unwritable(settings: Settings) -> None:
    probe = settings.uploads / "incoming" / ".ready"
    try:
        atomic_write(probe, b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError("Uploads cannot be written") from error
