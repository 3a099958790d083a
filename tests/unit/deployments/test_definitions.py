"""The deployments as they are said in Python and in `prefect.yaml`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from deployments import prefect_yaml
from deployments.definitions import DEFINITIONS, Definition
from tasks.common.orchestration.liveness import FLOWS

FILE = Path(__file__).parents[3] / "prefect.yaml"


def test_prefect_yaml_says_what_the_definitions_say() -> None:
    assert FILE.read_text(encoding="utf-8") == prefect_yaml.text()
    assert yaml.safe_load(FILE.read_text(encoding="utf-8")) == prefect_yaml.document()


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_every_deployment_names_a_flow_and_says_what_it_is_for(definition: Definition) -> None:
    module, _, name = definition.flow.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert flow.name == definition.name
    assert definition.name in FLOWS
    assert definition.description.endswith(".")
    assert definition.tags
    assert definition.concurrency_limit >= 1
    assert definition.collision_strategy in ("ENQUEUE", "CANCEL_NEW")
    flow.validate_parameters(
        {"song": "a.wav"} if definition.name == "analyze-song" else {"folder": "a"} if "analyze" in definition.name else {}
    )


def test_what_is_scheduled_never_runs_twice_at_once() -> None:
    scheduled = [definition for definition in DEFINITIONS if definition.interval_sec or definition.cron]
    assert {definition.name for definition in scheduled} == {"watch-folder", "prune"}
    assert {(definition.concurrency_limit, definition.collision_strategy) for definition in scheduled} == {(1, "CANCEL_NEW")}


def test_the_flows_find_their_parameters_types_when_served() -> None:
    for definition in DEFINITIONS:
        module, _, name = definition.flow.rpartition(".")
        schema = getattr(importlib.import_module(module), name).parameters.model_dump()
        assert schema["type"] == "object"
        assert all("title" in parameter for parameter in schema["properties"].values())
