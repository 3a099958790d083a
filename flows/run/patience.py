"""Runs that a person's own code starts wait for a busy server as long as our commands do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, settings

from tasks.common.orchestration.client_settings import CLIENT_SETTINGS

P = ParamSpec("P")
R = TypeVar("R")


class PatientFlow(Flow[P, R]):
    """A flow whose client has that patience where it is called, unless the settings say else. A worker's runs have their environment."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        patience = {getattr(settings, name): value for name, value in CLIENT_SETTINGS.items()}
        with settings.temporary_settings(set_defaults=patience):
            ended: R = super().__call__(*args, **kwargs)
        return ended


def patient_flow(**options: Any) -> Callable[[Callable[P, R]], PatientFlow[P, R]]:
    """`@flow`, for a PatientFlow."""
    return lambda function: PatientFlow(fn=function, **options)
