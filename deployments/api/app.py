"""The application: its calls, in one module each, behind the door and the keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from deployments.api import corrections, first_front_end, jobs, problems, resumable_calls, service, songs
from deployments.api.callbacks import Caller
from deployments.api.desk import Desk
from deployments.api.entrance import Entrance
from deployments.api.keys import KeyRing
from deployments.api.library.library import Library, library_file
from deployments.api.limits import Limits
from deployments.api.resumable import Writers, sweep_resumable
from deployments.api.revival import Reviver
from deployments.api.runs import Runs
from deployments.api.uploads import sweep
from schemas.api.jobs import JobEvent
from schemas.api.problem import FieldProblem, Problem
from schemas.corrections import Corrections
from tasks.common.settings import Settings, get_settings

#: In the order in which the documentation shows them.
ROUTERS = (jobs.router, resumable_calls.router, songs.router, corrections.router, service.router)

API_VERSION = "1"
DESCRIPTION = """Send a song, get a Song Map: lyrics, beats, chords, key, melody, bass, sections and stems.

Every error is a problem of RFC 9457 (`application/problem+json`) with a stable `code` and what to do about it."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API of this installation. It needs Prefect's server, which Prefect's own settings name, once it starts."""
    settings = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        from prefect.client.orchestration import get_client

        await asyncio.to_thread(sweep, settings)
        await asyncio.to_thread(sweep_resumable, settings)
        async with get_client() as client:
            app.state.prefect = client
            app.state.desk = desk = Desk(Runs(client))
            works = [asyncio.create_task(Reviver(desk, settings).run())]
            if settings.api_callback_hosts:
                works.append(asyncio.create_task(Caller(desk, settings).run()))
            yield
            for work in works:
                work.cancel()

    app = FastAPI(
        title="Performia",
        version=service.own_version(),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation,
    )
    app.state.settings = settings
    app.state.keys = KeyRing(settings)
    app.state.limits = Limits(settings)
    app.state.writers = Writers()
    app.state.library = Library(settings.songs_dir, library_file(settings))
    problems.install(app)
    for router in (*ROUTERS, *([first_front_end.router] if settings.api_first_front_end else [])):
        app.include_router(router)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.api_origins),
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=[
            *("Accept-Ranges", "Content-Range", "ETag", "Location", "Retry-After"),
            *("Tus-Resumable", "Tus-Version", "Upload-Expires", "Upload-Length", "Upload-Metadata", "Upload-Offset"),
        ],
        max_age=600,
    )
    app.add_middleware(Entrance, settings=settings)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


def _operation(route: Any) -> str:
    """The name of a call in the document: that of its function."""
    return str(route.name)


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. FastAPI describes its own errors; ours are problems."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=API_VERSION, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for model in (Problem, FieldProblem, JobEvent, Corrections):
            made = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, part in made.pop("$defs", {}).items():
                schemas.setdefault(name, part)
            schemas[model.__name__] = made
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{}, {"key": []}]  # on this machine none is needed as long as there is none
        app.openapi_schema = document
    return app.openapi_schema
