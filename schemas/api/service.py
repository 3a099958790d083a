"""What the service says of itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.results import Frozen


class Version(Frozen):
    """Which program answers. `schema_version`: of the Song Maps it writes."""

    performia: str = Field(examples=["0.1.0"])
    api: str = Field(examples=["1"])
    schema_version: str
    prefect: str = Field(examples=["3.9.1"])


class Health(Frozen):
    """The process answers, or the service can take songs."""

    status: Literal["ok"]


class ModelCard(Frozen):
    """A model that a step can use. `here`: where its files were found (`cache`, `wheel`, …); empty where they are not on this machine."""

    name: str = Field(examples=["htdemucs"])
    step: str = Field(examples=["separation"])
    bytes: int | None
    licence: str
    here: str
    page: str


class ModelList(Frozen):
    """Every model of the registry."""

    models: tuple[ModelCard, ...]
