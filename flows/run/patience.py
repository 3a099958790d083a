"""Runs that a person's own code starts wait for a busy server as long as our commands do, and take files of any name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, settings

from tasks.common.orchestration.client_settings import CLIENT_SETTINGS
from tasks.common.settings import get_settings
from tasks.ingest.file_names import with_text_name

P = ParamSpec("P")
R = TypeVar("R")


class PatientFlow(Flow[P, R]):
    """A flow whose client has that patience where it is called, unless the settings say else. A worker's runs have their environment."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        given = [_writable(value) for value in args]
        named = {name: _writable(value) for name, value in kwargs.items()}
        patience = {getattr(settings, name): value for name, value in CLIENT_SETTINGS.items()}
        with settings.temporary_settings(set_defaults=patience):
            ended: R = super().__call__(*given, **named)  # type: ignore[arg-type]
        return ended


def _writable(value: object) -> object:
    """A parameter as Prefect can write it down: a path whose bytes are no text goes by a link. Raises AudioPathRefused."""
    return with_text_name(value, get_settings()) if isinstance(value, Path) else value


def patient_flow(**options: Any) -> Callable[[Callable[P, R]], PatientFlow[P, R]]:
    """`@flow`, for a PatientFlow."""
    return lambda function: PatientFlow(fn=function, **options)
