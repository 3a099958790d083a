"""What the calls of the API need, as dependencies of FastAPI: the settings, Prefect's server, and the key of whoever asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from prefect.client.orchestration import PrefectClient
from starlette.requests import HTTPConnection

from deployments.api.desk import Desk
from deployments.api.keys import Key, require
from deployments.api.library.library import Library
from deployments.api.limits import Limits
from deployments.api.resumable import Writers
from tasks.common.settings import Settings


def settings_here(connection: HTTPConnection) -> Settings:
    """The settings that the application was made with. Songs lie in `songs_dir`, uploads in `uploads`."""
    settings: Settings = connection.app.state.settings
    return settings


def prefect_here(connection: HTTPConnection) -> PrefectClient:
    """The client of Prefect's server, one a process."""
    client: PrefectClient = connection.app.state.prefect
    return client


def desk_here(connection: HTTPConnection) -> Desk:
    """What is known of the jobs."""
    desk: Desk = connection.app.state.desk
    return desk


def limits_here(connection: HTTPConnection) -> Limits:
    """How much a key may ask."""
    limits: Limits = connection.app.state.limits
    return limits


def library_here(connection: HTTPConnection) -> Library:
    """The kept songs."""
    library: Library = connection.app.state.library
    return library


def writers_here(connection: HTTPConnection) -> Writers:
    """Who writes to resumable uploads."""
    writers: Writers = connection.app.state.writers
    return writers


SettingsHere = Annotated[Settings, Depends(settings_here)]
Prefect = Annotated[PrefectClient, Depends(prefect_here)]
DeskHere = Annotated[Desk, Depends(desk_here)]
LimitsHere = Annotated[Limits, Depends(limits_here)]
LibraryHere = Annotated[Library, Depends(library_here)]
WritersHere = Annotated[Writers, Depends(writers_here)]
Reader = Annotated[Key, require("read")]
Writer = Annotated[Key, require("write")]
Admin = Annotated[Key, require("admin")]
