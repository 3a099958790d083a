"""The job template of the Kubernetes work pool: Prefect takes it, and Kubernetes takes what Prefect makes of it. No cluster is needed."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

KUBERNETES_VERSIONS = ("1.30", kubernetes_validate.latest_version())


def test_prefect_takes_the_job_template(job_template: dict[str, Any]) -> None:
    from prefect.server.schemas.actions import WorkPoolCreate

    jsonschema.Draft202012Validator.check_schema(job_template["variables"])
    WorkPoolCreate(name="performia", type="kubernetes", base_job_template=job_template)


def test_the_template_has_what_prefects_own_has(job_template: dict[str, Any]) -> None:
    import prefect.server.api

    known = Path(prefect.server.api.__file__).parent / "collections_data" / "views" / "aggregate-worker-metadata.json"
    theirs = json.loads(known.read_text(encoding="utf-8"))["prefect-kubernetes"]["kubernetes"]["default_base_job_configuration"]
    assert set(theirs["job_configuration"]) <= set(job_template["job_configuration"])
    assert set(theirs["variables"]["properties"]) <= set(job_template["variables"]["properties"])


def test_every_placeholder_is_a_variable_and_every_variable_is_used_and_described(job_template: dict[str, Any]) -> None:
    placeholders = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(job_template["job_configuration"])))
    assert placeholders == set(job_template["variables"]["properties"])
    assert all(about["description"] and about["title"] for about in job_template["variables"]["properties"].values())


def test_the_defaults_are_valid(job_template: dict[str, Any]) -> None:
    jsonschema.validate(defaults_of(job_template), job_template["variables"])


@pytest.mark.parametrize("gpus", ["0", "1"])
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_the_job_of_a_run(job_template: dict[str, Any], gpus: str, version: str) -> None:
    job = job_of_a_run(job_template, gpu=gpus)
    kubernetes_validate.validate(job, version, strict=True)
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == gpus
    assert "{{" not in json.dumps(job)


def test_the_setup_gives_deployments_variables_that_the_template_takes(
    job_template: dict[str, Any], resources: list[dict[str, Any]]
) -> None:
    """The command line gives text, and a value of another type would refuse the whole deployment."""
    setup = next(one for one in resources if one["metadata"]["name"] == "performia-setup")["spec"]["template"]["spec"]["containers"][0]
    set_there = {variable["name"]: variable.get("value") for variable in setup["env"]}
    chosen = re.findall(r'--job-variable (\w+)=(?:"\$(\w+)"|(\S+))', setup["args"][-1])
    values = [(name, set_there[variable] if variable else text) for name, variable, text in chosen]
    assert {name for name, _ in values} == {"gpu", "cpu_request", "memory_request"}
    for name, value in values:
        jsonschema.validate(value, job_template["variables"]["properties"][name])


def test_a_run_finds_the_settings_and_the_volume(job_template: dict[str, Any], resources: list[dict[str, Any]]) -> None:
    container = job_of_a_run(job_template)["spec"]["template"]["spec"]["containers"][0]
    settings = next(one for one in resources if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "performia-settings")["data"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"configMapRef": {"name": "performia-settings"}} in container["envFrom"]
    assert {settings[f"PERFORMIA_{name}_DIR"] for name in ("DATA", "INBOX", "OUTPUT")} <= mounted
    pod_start = job_template["variables"]["properties"]["pod_watch_timeout_seconds"]["default"]
    assert float(settings["PERFORMIA_PENDING_LIMIT_SEC"]) > pod_start, "a run that waits for its pod is not dead"


def defaults_of(template: dict[str, Any]) -> dict[str, Any]:
    return {name: about["default"] for name, about in template["variables"]["properties"].items() if "default" in about}


def job_of_a_run(template: dict[str, Any], **chosen: Any) -> dict[str, Any]:
    """The job that Prefect's Kubernetes worker makes of the template for a run."""
    from prefect.utilities.templating import apply_values

    values = {
        **defaults_of(template),
        "name": "song",
        "command": "prefect flow-run execute",
        "labels": {"prefect.io/flow-run-name": "song"},
        **chosen,
    }
    configuration = apply_values(copy.deepcopy(template["job_configuration"]), values)
    job: dict[str, Any] = configuration["job_manifest"]
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["args"] = container["args"].split()
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    # Prefect insists on these two here, where Kubernetes does not know them and leaves them out.
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    return job
