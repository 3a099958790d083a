"""The manifests are what their linters and schemas want, and keep the promises of deployments/README.md. No engine is needed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deployments.api.service import router as service_calls
from deployments.server.door import Door

PINNED = re.compile(r"^[\w./-]+(:\d+)?:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")
SECRET_NAME = re.compile(r"PASSWORD|AUTH|SECRET|TOKEN|API_KEYS|CONNECTION_URL|DOCKET_URL|REDIS_.*URL")
KUBERNETES_VERSIONS = ("1.30", kubernetes_validate.latest_version())


# The image


def test_the_dockerfile_passes_its_linter(dockerfile: Path, tool: Any) -> None:
    done = subprocess.run([tool("hadolint"), str(dockerfile)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_base_images_are_pinned(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    images = [re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], image) for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE)]
    foreign = [image for image in images if image not in stages]
    assert foreign
    assert all(PINNED.match(image) for image in foreign), foreign


def test_both_final_images_run_as_an_ordinary_user_and_have_no_compiler(dockerfile: Path) -> None:
    stages = stages_of(dockerfile)
    assert all(stages[target][0].split()[1] == "runtime" for target in ("cpu", "cuda"))
    assert [line for line in stages["runtime"] if line.startswith("USER ")] == ["USER 10001:10001"]
    assert "-slim-" in stages["runtime"][0]
    final = [line for target in ("runtime", "cpu", "cuda") for line in stages[target]]
    assert not [line for line in final if any(word in line for word in ("apt-get", "gcc", "USER 0"))]


def test_everything_is_installed_at_the_tested_versions(dockerfile: Path) -> None:
    for target in ("build-cpu", "build-cuda"):
        installs = [line for line in stages_of(dockerfile)[target] if line.startswith("RUN pip install")]
        assert all("-c constraints.txt" in line or "--no-deps" in line for line in installs), installs


def test_the_extras_of_the_image_exist(dockerfile: Path) -> None:
    import tomllib

    project = tomllib.loads((dockerfile.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = re.findall(r"^ARG EXTRAS=(\S+)", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    assert lists
    assert {extra for one in lists for extra in one.split(",")} <= set(project["optional-dependencies"])


def test_no_secret_reaches_the_build(dockerfile: Path) -> None:
    ignored = (dockerfile.parents[2] / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert let_in == {
        "README.md",
        "constraints.txt",
        "deployments/*.py",
        "deployments/api",
        "deployments/checkup",
        "deployments/cli",
        "deployments/server",
        "flows",
        "performia.py",
        "prefect.yaml",
        "pyproject.toml",
        "schemas",
        "tasks",
    }
    given = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if line.startswith(("ENV", "ARG"))]
    assert not [line for line in given if SECRET_NAME.search(line)]


# Compose


def test_compose_passes_its_schema(compose_file: Path, tool: Any) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(compose_file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert sorted(published) == ["api", "server"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert not [name for name, service in compose["services"].items() if service.get("network_mode") == "host"]


def test_containers_are_restricted(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        user = service["user"].split(":")[0]
        assert user not in ("0", "root", ""), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", [])), name
        if service["image"].startswith("performia"):
            assert service["read_only"] is True, name


def test_the_database_is_seen_by_the_server_only(compose: dict[str, Any]) -> None:
    networks = {name: set(service["networks"]) for name, service in compose["services"].items()}
    assert compose["networks"]["server"]["internal"] is True
    assert networks["postgres"] == networks["redis"] == {"server"}
    assert networks["worker"] == networks["worker-gpu"] == networks["setup"] == networks["api"] == {"clients"}


def test_services_start_in_order_and_come_back(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["server"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["setup"]["depends_on"]["server"]["condition"] == "service_healthy"
    for client in ("worker", "worker-gpu", "api"):
        assert services[client]["depends_on"]["setup"]["condition"] == "service_completed_successfully"
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "test" in services[needed]["healthcheck"]
    once = {"migrate", "setup"}
    assert all(service["restart"] == ("on-failure" if name in once else "unless-stopped") for name, service in services.items())


def test_every_variable_of_compose_is_in_the_example_and_no_secret_has_a_value_or_default(
    compose_file: Path, env_example: dict[str, str]
) -> None:
    asked = re.findall(r"(?<!\$)\$\{(\w+)(:[-?])?", compose_file.read_text(encoding="utf-8"))
    assert {name for name, _ in asked} | {"COMPOSE_PROFILES"} == set(env_example)
    secrets = {name for name in env_example if SECRET_NAME.search(name)}
    assert secrets == {"PERFORMIA_API_AUTH_STRING", "PERFORMIA_API_KEYS", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert all(env_example[name] == "" for name in secrets)
    assert {how for name, how in asked if name in secrets} == {":?"}, "without them nothing starts"


def test_what_is_secret_in_compose_comes_from_the_environment(compose: dict[str, Any]) -> None:
    for name, value in variables(compose):
        if SECRET_NAME.search(name) and name != "POSTGRES_INITDB_ARGS":
            assert re.search(r"\$\{\w+:\?", str(value)), name


def test_clients_and_server_share_one_auth_string(compose: dict[str, Any]) -> None:
    for name in ("server", "services"):
        assert "PREFECT_SERVER_API_AUTH_STRING" in compose["services"][name]["environment"], name
    for name in ("worker", "worker-gpu", "setup", "api"):
        assert "PREFECT_API_AUTH_STRING" in compose["services"][name]["environment"], name


def test_the_gpu_worker_asks_for_a_gpu_and_only_one_of_the_workers_is_started(compose: dict[str, Any], env_example: dict[str, str]) -> None:
    gpu = compose["services"]["worker-gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"] == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert gpu["build"]["target"] == "cuda"
    assert (gpu["profiles"], compose["services"]["worker"]["profiles"]) == (["gpu"], ["cpu"])
    assert env_example["COMPOSE_PROFILES"] in ("cpu", "gpu")


def test_the_http_api_of_compose_writes_uploads_where_the_workers_read_them(compose: dict[str, Any]) -> None:
    services = compose["services"]
    (folder,) = {services[name]["environment"]["PERFORMIA_UPLOADS_DIR"] for name in ("api", "worker", "worker-gpu")}
    assert Path(folder).is_relative_to("/data")
    assert all("data:/data" in services[name]["volumes"] for name in ("api", "worker", "worker-gpu"))


# Kubernetes


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_takes_the_manifests(resources: list[dict[str, Any]], version: str) -> None:
    for resource in resources:
        kubernetes_validate.validate(resource, version, strict=True)


def test_pods_are_restricted(resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    """As the Pod Security Standard `restricted`, which the namespace enforces, wants it; and a read-only file system besides."""
    pods = [*pod_specs(resources), job_template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]]
    assert len(pods) == 9
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
    namespace = next(one for one in resources if one["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_the_worker_may_talk_to_kubernetes(resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    pods = [*pod_specs(resources), job_template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]]
    with_token = [pod for pod in pods if pod.get("automountServiceAccountToken") is not False]
    assert [pod["serviceAccountName"] for pod in with_token] == ["performia-worker"]
    roles = [one for one in resources if one["kind"] in ("Role", "ClusterRole")]
    assert [role["kind"] for role in roles] == ["Role"], "its own namespace only"
    allowed = [(rule["verbs"], rule["resources"]) for role in roles for rule in role["rules"]]
    assert not [one for one in allowed if "*" in one[0] + one[1] or "secrets" in one[1]]


def test_nothing_is_seen_outside_the_cluster(resources: list[dict[str, Any]]) -> None:
    services = [one for one in resources if one["kind"] == "Service"]
    assert {one["spec"].get("type", "ClusterIP") for one in services} == {"ClusterIP"}
    assert not [one for one in resources if one["kind"] == "Ingress"]
    closed = next(one for one in resources if one["kind"] == "NetworkPolicy" and one["spec"]["podSelector"] == {})
    assert closed["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_secrets_are_only_referred_to(resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    assert not [one for one in resources if one["kind"] == "Secret"]
    for name, value in variables([resources, job_template["job_configuration"]]):
        if SECRET_NAME.search(name):
            assert name.startswith("PREFECT_INTEGRATIONS_") or name == "POSTGRES_INITDB_ARGS" or set(value) == {"valueFrom"}, name


def test_the_http_api_shares_the_uploads_with_the_runs_and_its_probes_are_let_in(
    resources: list[dict[str, Any]], job_template: dict[str, Any]
) -> None:
    (made,) = [one for one in resources if one["kind"] == "Deployment" and one["metadata"]["name"] == "performia-http"]
    assert made["spec"]["replicas"] >= 2
    pod, run = made["spec"]["template"]["spec"], job_template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    (container,), (running,) = pod["containers"], run["containers"]
    configured = {one["metadata"]["name"]: one["data"] for one in resources if one["kind"] == "ConfigMap"}
    settings = {"configMapRef": {"name": "performia-settings"}}
    assert settings in container["envFrom"]
    assert settings in running["envFrom"]
    folder = Path(configured["performia-settings"]["PERFORMIA_UPLOADS_DIR"])
    shared = {"name": "songs", "mountPath": "/data", "subPath": "data"}
    assert folder.is_relative_to(shared["mountPath"])
    assert shared in container["volumeMounts"]
    assert shared in running["volumeMounts"]
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == job_template["variables"]["properties"]["volume_claim"]["default"]
    assert all(pod["securityContext"][key] == run["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup"))
    hosts = Door(hosts=frozenset(json.loads(configured["performia-http"]["PERFORMIA_ALLOWED_HOSTS"])))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        headers = container[probe]["httpGet"]["httpHeaders"]
        sent = {"type": "http", "method": "GET", "headers": [(one["name"].encode(), one["value"].encode()) for one in headers]}
        assert hosts.refusal(sent) is None, probe
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert paths <= {route.path for route in service_calls.routes}  # type: ignore[attr-defined]


def test_no_service_sets_a_setting_of_ours(resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    """Kubernetes gives a pod NAME_PORT and the like of every service; performia-api's would be read as the port to listen on."""
    pods = [*pod_specs(resources), job_template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]]
    ours = [pod for pod in pods if any("performia" in one["image"] or "{{" in one["image"] for one in pod["containers"])]
    assert len(ours) == 7
    assert [pod["enableServiceLinks"] for pod in ours] == [False] * len(ours)


def test_every_image_is_pinned(compose: dict[str, Any], resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    images += [container["image"] for pod in pod_specs(resources) for container in pod["containers"]]
    images.append(job_template["variables"]["properties"]["image"]["default"])
    assert len(images) > 10
    assert not [image for image in images if not PINNED.match(image)]


def test_names_that_manifests_refer_to_exist(resources: list[dict[str, Any]], job_template: dict[str, Any]) -> None:
    made = {(one["kind"], one["metadata"]["name"]) for one in resources}
    assert all(one["metadata"].get("namespace", "performia") == "performia" for one in resources)
    text = json.dumps([resources, job_template])
    referred = set(re.findall(r'"configMapRef": \{"name": "([\w-]+)"', text))
    assert {("ConfigMap", name) for name in referred} <= made
    defaults = {name: about.get("default") for name, about in job_template["variables"]["properties"].items()}
    assert ("PersistentVolumeClaim", defaults["volume_claim"]) in made
    assert ("ServiceAccount", defaults["service_account_name"]) in made
    selectors = [one["spec"]["selector"] for one in resources if one["kind"] == "Service"]
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in resources if one["kind"] in ("Deployment", "StatefulSet")]
    assert all(any(selector.items() <= these.items() for these in labels) for selector in selectors)


def test_the_settings_that_manifests_set_exist(compose: dict[str, Any], resources: list[dict[str, Any]], dockerfile: Path) -> None:
    """A misspelt variable would be ignored in silence."""
    pytest.importorskip("prefect_redis", reason="prefect-redis is missing: pip install 'performia[redis]'")
    from prefect.settings.models.root import Settings as PrefectSettings
    from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
    from prefect_redis.client import RedisMessagingSettings
    from prefect_redis.messaging import RedisMessagingPublisherSettings

    from tasks.common.settings import Settings

    known = names_of(PrefectSettings, "PREFECT") | names_of(Settings, "PERFORMIA")
    known |= names_of(RedisMessagingSettings, "PREFECT_REDIS_MESSAGING")
    known |= names_of(RedisMessagingPublisherSettings, "PREFECT_REDIS_MESSAGING_PUBLISHER")
    known |= names_of(RedisWorkerCleanupQueueSettings, "PREFECT_REDIS_WORKER_CLEANUP_QUEUE")
    known |= {f"PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_{name}" for name in ("NAME", "KEY")}
    known |= {"PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"}
    of_image = re.findall(r"^(?:ENV)?\s+(P\w+)=", dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    names = {name for name, _ in variables([compose, resources])} | set(of_image)
    ours = {name for name in names if name.startswith(("PERFORMIA_", "PREFECT_"))}
    assert len(ours) > 20
    assert not ours - known


def stages_of(dockerfile: Path) -> dict[str, list[str]]:
    """The instructions of each stage, one a line."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text(encoding="utf-8"))
    stages: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if found := re.match(r"FROM \S+ AS (\S+)", line):
            current = stages.setdefault(found[1], [])
        if line and not line.startswith("#"):
            current.append(line)
    return stages


def variables(document: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything that looks like an environment variable, anywhere in a document."""
    if isinstance(document, dict):
        if isinstance(document.get("name"), str) and {"value", "valueFrom"} & set(document):
            yield document["name"], document.get("value", {"valueFrom"})
        for name, value in document.items():
            if re.fullmatch(r"[A-Z][A-Z0-9_]+", str(name)) and isinstance(value, str):
                yield name, value
            yield from variables(value)
    elif isinstance(document, list):
        for one in document:
            yield from variables(one)


def pod_specs(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in resources if one["kind"] in ("Deployment", "StatefulSet", "Job")]


def names_of(settings: Any, prefix: str) -> set[str]:
    """The environment variables of settings, nested ones too."""
    from pydantic import BaseModel

    found = set()
    for name, field in settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= names_of(kind, f"{prefix}_{name.upper()}")
        else:
            found.add(f"{prefix}_{name.upper()}")
    return found


def test_yaml_files_say_each_key_once(compose_file: Path) -> None:
    """YAML keeps the last of two equal keys in silence."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> Any:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(keys) == len(set(keys)), keys
        loader.flatten_mapping(node)
        return loader.construct_pairs(node)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    files = [compose_file, *(compose_file.parents[1] / "kubernetes").glob("*.yaml")]
    for path in files:
        list(yaml.load_all(path.read_text(encoding="utf-8"), Strict))
