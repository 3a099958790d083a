"""What Prefect's server would refuse is found out before; it is asked itself, by the model with which it reads a request."""

from __future__ import annotations

from uuid import uuid4

import pytest
from prefect.server.schemas.actions import FlowRunCreate
from prefect.settings import PREFECT_SERVER_API_MAX_PARAMETER_SIZE, temporary_settings
from pydantic import ValidationError

from flows.run.parameters import too_long

PATHS = {"song": "/" + "ü" * 2000, "output_dir": "/" + "ü" * 2000}


@pytest.mark.parametrize("letter", ["a", "ü"])
def test_what_is_let_through_is_taken_and_what_is_refused_would_not_be(letter: str) -> None:
    width = 1 if letter == "a" else 6
    most = {"options": {"lyrics": letter * (499_600 // width)}}
    assert too_long(most) is None
    FlowRunCreate(flow_id=uuid4(), parameters=most | PATHS)
    beyond = {"options": {"lyrics": letter * (525_000 // width)}}
    assert "525,0" in str(too_long(beyond))
    with pytest.raises(ValidationError, match="must be less"):
        FlowRunCreate(flow_id=uuid4(), parameters=beyond)


def test_the_server_is_told_how_much_it_takes() -> None:
    with temporary_settings({PREFECT_SERVER_API_MAX_PARAMETER_SIZE: 0}):
        assert too_long({"options": "a" * 10_000_000}) is None
    with temporary_settings({PREFECT_SERVER_API_MAX_PARAMETER_SIZE: 1000}):
        assert too_long({"options": "a" * 850}) is None
        assert too_long({"options": "a" * 950}) is not None
